from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from delivery.engine import loop
from delivery.engine.database import Connection, open_connection
from delivery.services.partitions import ensure_partitions
from tests.databases import clear_tables
from tests.delivery.engine.world import World, make_world


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database in which transactions commit, so that other connections and threads see them."""
    with django_db_blocker.unblock():
        yield
        clear_tables()
        connections.close_all()


@pytest.fixture
def world(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(loop, "IDLE_SECONDS", 0.05)  # a slice without work ends sooner
    ensure_partitions(at=timezone.now())
    return make_world()


@pytest.fixture
def patient(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For mailouts with a pace: slices wait for the next grant as long as they do in earnest."""
    monkeypatch.setattr(loop, "IDLE_SECONDS", 0.3)


@pytest.fixture
def raw(transactional_db: None) -> Iterator[Connection]:
    """The engine's own connection."""
    connection = open_connection()
    yield connection
    connection.close()
