from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from amazonsender.core import slow_senders
from amazonsender.core.slow_senders import SLOWEST_RATE, Caller, Connection, SlowSenders, open_connections

LIMIT = 20.0
US = "8000"
SENDER = Caller("203.0.113.9", US)


class World:
    """A clock, and connections as the kernel would tell of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.present: dict[str, Connection] = {}
        self.shut: list[str] = []
        self.senders = SlowSenders(LIMIT, clock=lambda: self.now, connections=lambda: list(self.present.values()))
        monkeypatch.setattr(slow_senders, "_shut", lambda one: self.shut.append(str(one.key[0])))
        monkeypatch.setattr(SlowSenders, "_watch", lambda _self: None)

    def connect(self, name: str, caller: Caller = SENDER) -> None:
        self.present[name] = Connection(len(self.present), (name,), caller, 0.0, 500)

    def pass_time(self, seconds: float, **bytes_per_second: float) -> None:
        """Look every two seconds, as the watcher does."""
        for _ in range(round(seconds / 2)):
            self.now += 2
            for name, one in self.present.items():
                more = round(2 * bytes_per_second.get(name, 0))
                self.present[name] = one._replace(silent_seconds=one.silent_seconds + 2, received=one.received + more)
            self.senders.look()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.mark.parametrize("rate", [0, 1, SLOWEST_RATE - 1])
def test_a_body_that_comes_too_slowly_is_ended_at_the_limit_and_not_before(world: World, rate: float) -> None:
    world.connect("slow")

    with world.senders.awaiting(SENDER):
        world.pass_time(LIMIT - 2, slow=rate)
        before = list(world.shut)
        world.pass_time(2, slow=rate)

    assert (before, world.shut) == ([], ["slow"])


def test_a_large_file_over_a_slow_line_takes_its_time_and_is_ended_when_it_stops(world: World) -> None:
    world.connect("file")

    with world.senders.awaiting(SENDER):
        world.pass_time(600, file=SLOWEST_RATE)
        before = list(world.shut)
        world.pass_time(LIMIT)

    assert before == []
    assert set(world.shut) == {"file"}


def test_connections_of_others_and_to_others_and_those_that_were_answered_are_left_alone(world: World) -> None:
    world.connect("another", Caller("198.51.100.1", US))
    world.connect("ours to the database", Caller(SENDER.address, "50123"))
    world.connect("slow")
    world.connect("answered")

    with world.senders.awaiting(SENDER):
        world.pass_time(LIMIT - 2)
        world.present["answered"] = world.present["answered"]._replace(silent_seconds=0.0)
        world.pass_time(2)

    assert world.shut == ["slow"]


def test_while_a_long_piece_of_work_is_done_for_the_same_address_nothing_is_shut(world: World) -> None:
    world.connect("slow")

    with world.senders.awaiting(SENDER):
        with _in_another_thread(world.senders):
            world.pass_time(60)
        assert world.shut == []
        world.pass_time(2)

    assert world.shut == ["slow"]


class _in_another_thread:  # noqa: N801 - reads as a word
    """A request that is worked on beside."""

    def __init__(self, senders: SlowSenders) -> None:
        self._notes = senders._worked_on
        self._since = senders._clock()

    def __enter__(self) -> None:
        self._notes[-1] = (self._since, SENDER)

    def __exit__(self, *_error: object) -> None:
        del self._notes[-1]


def test_without_a_body_on_its_way_nobody_looks_at_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> list[Connection]:
        raise AssertionError

    senders = SlowSenders(LIMIT, connections=never)
    with senders.awaiting(SENDER):
        assert senders.awaited == 1
        assert senders.look() == 0

    assert (senders.awaited, senders.look()) == (0, 0)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _address = server.accept()
    with client, accepted:
        yield client, accepted


def test_the_kernel_tells_what_came_in_and_a_connection_can_be_shut_for_whoever_holds_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    client, accepted = pair
    client.sendall(b"x" * 1000)
    assert accepted.recv(1000, socket.MSG_WAITALL) == b"x" * 1000

    (found,) = [one for one in open_connections() if one.key == (accepted.getpeername(), accepted.getsockname())]
    assert found.caller == Caller("127.0.0.1", str(accepted.getsockname()[1]))
    assert found.received == 1000
    assert 0 <= found.silent_seconds < 600

    slow_senders._shut(found._replace(key=(("127.0.0.1", 1), found.key[1])))  # the descriptor is another's by now
    client.sendall(b"y")
    assert accepted.recv(1) == b"y"
    slow_senders._shut(found)

    assert accepted.recv(1) == client.recv(1) == b""
    slow_senders._shut(found._replace(fd=1_000_000))  # gone meanwhile: nothing to do


def test_a_look_that_fails_is_told_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def sleep(_seconds: float) -> None:
        if len(looks) == 2:
            raise SystemExit
        looks.append(1)

    senders = SlowSenders(LIMIT)
    monkeypatch.setattr("amazonsender.core.slow_senders.time.sleep", sleep)
    monkeypatch.setattr(senders, "look", lambda: 1 / 0)

    with capture_logs() as lines, pytest.raises(SystemExit):
        senders._run()

    assert [line["event"] for line in lines] == ["http.slow_bodies_unseen"] * 2


def test_where_the_kernel_tells_nothing_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_senders, "DESCRIPTORS", Path("/nowhere"))
    senders = SlowSenders(LIMIT)

    with senders.awaiting(SENDER):
        assert senders._watcher is None
