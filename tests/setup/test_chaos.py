import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from amazonsender.embedded import chaos
from amazonsender.embedded.chaos import PROGRAMS, Chaos
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.postgres import Postgres
from amazonsender.embedded.valkey import Valkey

STACK = 10


class FakePostgres(Postgres):
    def __init__(self) -> None:
        self.ends: list[signal.Signals] = []
        self.starts = True

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        self.ends.append(how)

    def start(self) -> None:
        if not self.starts:
            raise EmbeddedError("no room")


class FakeValkey(Valkey):
    def __init__(self, tasks: Path) -> None:
        self.tasks = tasks
        self.ends: list[signal.Signals] = []

    @property
    def folder(self) -> Path:
        return self.tasks

    def stop(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        self.ends.append(how)

    def start(self) -> None:
        pass


class World:
    """A stack whose killed programs come back under another number, as its log says."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "stack.log"
        self.log.write_text("send      | send@vm ready.\nwork      | work@vm ready.\n")
        (folder / "tasks").mkdir()
        self.postgres, self.valkey = FakePostgres(), FakeValkey(folder / "tasks")
        self.commands = {1: "celery worker -n send@%h", 2: "celery worker -n work@%h", 3: "celery -A amazonsender beat"}
        self.killed: list[str] = []
        self.said: list[str] = []
        self.sending = True
        self.revives = True

    def kill(self, pid: int) -> None:
        command = self.commands.pop(pid)
        self.killed.append(command)
        if self.revives:
            self.commands[pid + 10] = command
            name = command.partition("@")[0].rpartition(" ")[2]
            with self.log.open("a") as log:
                log.write(f"{name:<9} | {name}@vm ready.\n")

    def run(self, seed: int = 7, steps: int = 200) -> list[str]:
        services = SimpleNamespace(started=[self.postgres, self.valkey], environment={"DATABASE_URL": "none"})
        told = Chaos(services, log=self.log, seed=seed, say=self.said.append)  # type: ignore[arg-type]  # as far as used
        for _ in range(steps):
            told.step(STACK)
        return self.said


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(chaos, "GAP_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(chaos, "children_of", lambda pid: dict(world.commands) if pid == STACK else {})
    monkeypatch.setattr(chaos, "kill_group", world.kill)
    monkeypatch.setattr(Chaos, "_is_sending", lambda _self: world.sending)
    return world


def test_each_program_and_service_is_killed_once_and_comes_back(world: World) -> None:
    said = world.run()

    assert len(world.killed) == len(PROGRAMS) == len(set(world.killed))
    assert (world.postgres.ends, world.valkey.ends) == ([signal.SIGQUIT], [signal.SIGKILL])
    assert not world.valkey.folder.exists(), "the broker came back with the tasks it held"
    for title in ("the send worker", "the work worker", "the scheduler", "PostgreSQL", "the broker"):
        assert f"Chaos: … {title} came back after 0.0 s." in said
    assert "Chaos: killed the send worker (SIGKILL) …" in said
    assert said[0].endswith("(again: SEED=7).")
    assert said[-1] == "Chaos: that was all; now everything has to add up."


def test_the_seed_decides_the_order(world: World) -> None:
    def order(seed: int) -> list[str]:
        world.said.clear()
        world.valkey.folder.mkdir(exist_ok=True)
        return [line for line in world.run(seed) if line.endswith("…")]

    # The programs have other numbers after each run, and are found all the same.
    assert order(3) == order(3)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_a_campaign_that_was_faster_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([True, True, False])
    monkeypatch.setattr(Chaos, "_is_sending", lambda _self: next(looks))

    assert world.run()[-1] == "Chaos: the campaign was out before the last 4 could be killed."


def test_nothing_is_killed_before_the_campaign_goes_out(world: World) -> None:
    world.sending = False

    assert len(world.run(steps=20)) == 1
    assert world.killed == []


def test_a_program_that_stays_away_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "PROGRAMS", PROGRAMS[:1])
    monkeypatch.setattr(chaos, "COMES_BACK_WITHIN_SECONDS", 0.0)
    world.revives = False
    world.postgres.starts = False

    said = world.run()

    assert "Chaos: the send worker did not come back within 0 s." in said
    assert "Chaos: PostgreSQL did not start: no room" in said
