"""Fixtures of every test. Nothing may leave the machine."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client, TransactionTestCase
from django.utils import timezone, translation
from pytest_django import DjangoDbBlocker

from delivery.services.partitions import ensure_partitions
from organizations.models import Organization, User
from tests.cast import Cast, make_cast
from tests.databases import clear_tables, set_for_tests
from tests.localses.running import Running, free_port, start, stop


class NetworkBlockedError(RuntimeError):
    """A test tried to reach something outside of this machine."""


def _is_loopback(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("processes") is None)


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """Refuse every connection that isn't to this machine, and every look-up of a foreign name."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if not _is_loopback(address):
            raise NetworkBlockedError(f"connection to {address}")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if not _is_loopback(address):
            raise NetworkBlockedError(f"connection to {address}")
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_loopback((name,)) and name != socket.gethostname():
            raise NetworkBlockedError(f"look-up of {name}")
        return look_up(host, *args, **options)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def quick_flush() -> Iterator[None]:
    """After tests that commit, tables are emptied in a tenth of the time of Django's flush."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: clear_tables())
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database, with this month's partitions of the ledger.

    In the end, sessions of servers and threads that are still closing would keep it from being dropped.
    """
    with django_db_blocker.unblock():
        set_for_tests()
        ensure_partitions(at=timezone.now())
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    """Throttles and cached answers of one test must not reach the next."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """Begin in English: a request leaves its reader's language behind in the thread."""
    with translation.override("en"):
        yield


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def acme(cast: Cast) -> Organization:
    return cast.acme


@pytest.fixture
def other(cast: Cast) -> Organization:
    return cast.other


@pytest.fixture
def alice(cast: Cast) -> User:
    return cast.alice


@pytest.fixture
def bob(cast: Cast) -> User:
    return cast.bob


@pytest.fixture
def carol(cast: Cast) -> User:
    return cast.carol


@pytest.fixture
def mallory(cast: Cast) -> User:
    return cast.mallory


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def alice_client(alice: User) -> Client:
    return _signed_in(alice)


@pytest.fixture
def bob_client(bob: User) -> Client:
    return _signed_in(bob)


@pytest.fixture
def carol_client(carol: User) -> Client:
    return _signed_in(carol)


@pytest.fixture
def mallory_client(mallory: User) -> Client:
    return _signed_in(mallory)


@pytest.fixture
def local_ses(tmp_path: Path) -> Iterator[Running]:
    """Local SES of the test's own, in a process."""
    running = start(tmp_path, free_port())
    yield running
    stop(running)
