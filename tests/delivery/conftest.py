from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.databases import clear_tables


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database in which transactions commit, so that other connections and threads see them."""
    with django_db_blocker.unblock():
        yield
        clear_tables()
        connections.close_all()
