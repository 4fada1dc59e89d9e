from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.domains.nameserver import NameServer, running


@pytest.fixture
def nameserver() -> Iterator[NameServer]:
    with running() as server:
        yield server
