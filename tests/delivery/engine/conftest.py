from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone

from delivery.engine.database import Connection, open_connection
from delivery.services.partitions import ensure_partitions
from organizations.models import Organization
from tests.delivery.engine.world import World, make_world


@pytest.fixture
def world(transactional_db: None) -> World:
    ensure_partitions(at=timezone.now())
    return make_world(Organization.objects.create(name="Acme"))


@pytest.fixture
def raw(transactional_db: None) -> Iterator[Connection]:
    connection = open_connection()
    yield connection
    connection.close()
