"""The attacks by name. Each does its harm at once and plans what heals it; none waits for longer than a server's start."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import httpx

from amazonsender.core.processes import wait_for
from amazonsender.embedded.postgres import DATABASE
from campaigns.sample.localses import LocalSes, LocalSesError
from delivery.engine import claiming
from tests.crash.plan import Strike
from tests.crash.scene import Scene
from tests.crash.weather import make_weather

BACKUP, ASIDE, COPY = "crash_backup", "crash_aside", "crash_copy"
COPY_BROKER = 2  # the copy's own database of the broker; a careless copy shares the original's
WORKERS = ("send", "work", "scheduler")
CLOCKS = (-170.0, -20.0, 20.0, 170.0)  # seconds apart; Amazon refuses signatures that are five minutes off
AWAY_SECONDS = 30.0
WATCH_SECONDS = 3.0
COUNTS, COUNT_EVERY_SECONDS = 4, 0.05


class HomeGuardFailed(Exception):
    """A restored backup or a copy has sent."""


class Attacks:
    """What attacks a round: a clock of things to do, each at its second."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.installation = scene.installation
        self.fleet = scene.installation.fleet
        self.note = scene.timeline.note
        self.localses = LocalSes(self.installation.localses_url)
        self.armed_at_kills = 0  # calls that were armed when something was killed
        self.has_disturbed_calls = False  # the provider, or the way to it, was harmed: answers may be ambiguous
        self._must_tell_settings = False
        self._numbers = itertools.count()
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._expected_dead: set[str] = set()
        self._clocks: dict[str, str] = {}  # seconds by program whose clock is apart
        self._seconds: set[str] = set()  # programs that run twice
        self._attack = {
            "kill the sender": self._kill("send"),
            "kill a sending process": self._kill_sending_process,
            "kill the worker": self._kill("work"),
            "kill the web server": self._kill("web"),
            "kill the scheduler": self._kill("scheduler"),
            "kill Local SES": self._kill("localses"),
            "freeze the sender beyond its lease": self._freeze_beyond_lease,
            "freeze the sender for a moment": self._freeze("send", 0.2, 1.0),
            "freeze the worker": self._freeze("work", 1.0, 4.0),
            "freeze Local SES": self._freeze("localses", 0.5, 4.0),
            "stop PostgreSQL at once": self._stop_postgres(signal.SIGQUIT),
            "stop PostgreSQL quickly": self._stop_postgres(signal.SIGINT),
            "kill a PostgreSQL session": self._kill_session,
            "cut sessions in mid-commit": self._cut_in_commit,
            "stop PostgreSQL in mid-commit": self._stop_in_commit,
            "flush the broker": self._flush_broker,
            "kill the broker": self._kill_broker,
            "restart the sender gracefully": self._restart_gracefully,
            "a second scheduler": self._second_scheduler,
            "the sender's clock is apart": self._clock_apart("send"),
            "a second sender whose clock is apart": self._second_sender_apart,
            "the scheduler's clock is apart": self._clock_apart("scheduler"),
            "press send again": self._press_again,
            "pause and resume": self._pause_and_resume,
            "cancel": self._cancel,
            "change the rate": self._change_rate,
            "bad weather at the provider": self._bad_weather,
            "restore a backup": self._restore_backup,
            "restore a snapshot of the server": self._restore_snapshot,
            "start a copy beside the original": self._start_copy,
        }

    # ---- the clock --------------------------------------------------------------------------------------

    def plan(self, strike: Strike) -> None:
        def attack() -> None:
            self.note(f"ATTACK {strike.kind}")
            self._attack[strike.kind](random.Random(strike.seed))

        self.at(strike.at, attack)

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._todo, (seconds, next(self._numbers), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.scene.timeline.seconds + seconds, act)

    @property
    def is_over(self) -> bool:
        return not self._todo

    def run_due(self) -> None:
        """Do what is due; start again what ended by itself, as a supervisor does."""
        while self._todo and self._todo[0][0] <= self.scene.timeline.seconds:
            heapq.heappop(self._todo)[2]()
        for name, code in self.fleet.ended():
            if name in self._expected_dead:
                self._expected_dead.discard(name)
            else:
                self.note(f"{name} ended by itself with {code}")
            if name in self.fleet.commands:  # a second one is not missed
                self.after(0.5, lambda name=name: self._start(name))  # type: ignore[misc]

    def _start(self, name: str) -> None:
        if name not in self.fleet.running:
            clock = {"CRASH_CLOCK_SECONDS": self._clocks[name]} if name in self._clocks else {}
            self.fleet.start(name, **clock)
            self.note(f"{name} started")
            self._must_tell_settings = self._must_tell_settings or name == "localses"

    def _wait_for_calls(self, dice: random.Random) -> None:
        """Strike while calls are out, if they are soon: that is where it hurts."""
        wait_for(lambda: self._armed() > 0, seconds=1.0, every=0.005)
        time.sleep(dice.uniform(0.0, 0.05))

    def _armed(self) -> int:
        return int(self.installation.rows("SELECT count(*) FROM delivery_send_call WHERE state = 0")[0][0])

    def _count_armed(self) -> None:
        """How many calls may be lost: PostgreSQL still commits what it had been sent when the worker was killed."""
        armed = 0
        for _ in range(COUNTS):
            armed = max(armed, self._armed())
            time.sleep(COUNT_EVERY_SECONDS)
        self.armed_at_kills += armed
        self.note(f"{armed} calls are armed")

    # ---- processes --------------------------------------------------------------------------------------

    def _kill(self, name: str) -> Callable[[random.Random], None]:
        def attack(dice: random.Random) -> None:
            if name in ("send", "localses"):
                self._wait_for_calls(dice)
            self.fleet.kill(name)
            self.has_disturbed_calls = self.has_disturbed_calls or name == "localses"
            if name == "send":
                self._count_armed()
            self.after(dice.uniform(0.0, 1.5), lambda: self._start(name))

        return attack

    def _kill_sending_process(self, dice: random.Random) -> None:
        self._wait_for_calls(dice)
        pid = self.fleet.kill_child("send", dice)
        self.note(f"process {pid}")
        self._count_armed()

    def _freeze(self, name: str, least: float, most: float) -> Callable[[random.Random], None]:
        def attack(dice: random.Random) -> None:
            seconds = dice.uniform(least, most)
            if name in ("send", "localses"):
                self._wait_for_calls(dice)
            self.has_disturbed_calls = self.has_disturbed_calls or name == "localses"
            self.fleet.freeze(name)
            if name in ("send", "localses"):  # calls that hang as long as a scaled lease may cost it on a busy machine
                self._count_armed()
            self.note(f"{name} stands still for {seconds:.1f} s")
            self.after(seconds, lambda: self._thaw(name))

        return attack

    def _thaw(self, name: str) -> None:
        self.fleet.thaw(name)
        self.note(f"{name} goes on")

    def _freeze_beyond_lease(self, dice: random.Random) -> None:
        lease = claiming.LEASE_SECONDS
        self._freeze("send", 1.05 * lease, 1.6 * lease)(dice)

    def _restart_gracefully(self, dice: random.Random) -> None:
        self._wait_for_calls(dice)
        self.fleet.ask_to_end("send")
        self._expected_dead.add("send")

    def _second_scheduler(self, dice: random.Random) -> None:
        self._join("scheduler")

    def _clock_apart(self, name: str) -> Callable[[random.Random], None]:
        def attack(dice: random.Random) -> None:
            self.fleet.kill(name)
            self._clocks[name] = str(dice.choice(CLOCKS))
            self._start(name)
            self.note(f"its clock is {self._clocks[name]} s ahead")

        return attack

    def _second_sender_apart(self, dice: random.Random) -> None:
        self._join("send", CRASH_CLOCK_SECONDS=str(dice.choice(CLOCKS)))

    def _join(self, name: str, **more: str) -> None:
        """Run the program a second time, on another machine so to say, until the round is over."""
        self._seconds.add(name)
        self.fleet.start(f"{name}-second", **more)
        self.note(f"a second {name} started {more or ''}")

    # ---- the database -----------------------------------------------------------------------------------

    def _stop_postgres(self, how: signal.Signals) -> Callable[[random.Random], None]:
        def attack(dice: random.Random) -> None:
            self.installation.restart_postgres(how)
            self.note("PostgreSQL is back")
            self._count_armed()

        return attack

    def _kill_session(self, dice: random.Random) -> None:
        """SIGKILL to one server process: PostgreSQL ends every session and recovers."""
        rows = self.installation.rows(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND application_name LIKE 'engine:%%' ORDER BY pid"
        )
        if rows:
            with suppress(ProcessLookupError):
                os.kill(dice.choice(rows)[0], signal.SIGKILL)
        self._count_armed()

    def _hold_commits(self, dice: random.Random) -> None:
        self._wait_for_calls(dice)
        self.installation.hold_acknowledgements()
        time.sleep(dice.uniform(0.1, 0.4))

    def _cut_in_commit(self, dice: random.Random) -> None:
        """Commits that are there, and whose sessions end before the worker hears of it."""
        self._hold_commits(dice)
        self.installation.cut_acknowledgements()
        self._count_armed()

    def _stop_in_commit(self, dice: random.Random) -> None:
        self._hold_commits(dice)
        self._stop_postgres(signal.SIGQUIT)(dice)

    # ---- the broker -------------------------------------------------------------------------------------

    def _flush_broker(self, dice: random.Random) -> None:
        self.installation.flush_broker()

    def _kill_broker(self, dice: random.Random) -> None:
        if not self.installation.valkey.alive:
            return
        self.installation.kill_broker()
        if dice.random() < 0.5:
            (self.installation.valkey.folder / "appendonlydir").rename(
                self.installation.valkey.folder / f"lost-{time.time_ns()}"
            )
            self.note("and what it had on disk is lost")

        def back() -> None:
            if not self.installation.valkey.alive:
                self.installation.start_broker()
                self.note("the broker is back")

        self.after(dice.uniform(0.0, 2.0), back)

    # ---- people -----------------------------------------------------------------------------------------

    def _press_again(self, dice: random.Random) -> None:
        self.scene.press_send(dice.choice(self.scene.campaigns))

    def _pause_and_resume(self, dice: random.Random) -> None:
        mailout = self.scene.control("pause", dice)
        if mailout is not None:
            self.after(dice.uniform(0.3, 3.0), lambda: self.scene.resume(mailout.pk))

    def _cancel(self, dice: random.Random) -> None:
        self.scene.control("cancel", dice)

    def _change_rate(self, dice: random.Random) -> None:
        self.scene.control("pace", dice)

    # ---- the provider -----------------------------------------------------------------------------------

    def _bad_weather(self, dice: random.Random) -> None:
        faults = make_weather(dice)
        self.has_disturbed_calls = True
        with suppress(httpx.TransportError):  # it may be dead
            httpx.put(self._faults_url, json={"faults": faults}, timeout=2).raise_for_status()
        self.note(f"Local SES: {faults}")
        self.after(max(fault["for_seconds"] for fault in faults), self._end_weather)

    def _end_weather(self) -> None:
        with suppress(httpx.TransportError):
            gone = httpx.delete(self._faults_url, timeout=2).raise_for_status().json()["faults"]
            self.note("fair weather after " + ", ".join(f"{fault['fired']} × {fault['name']}" for fault in gone))

    @property
    def _faults_url(self) -> str:
        return f"{self.installation.localses_url}/_localses/faults"

    def keep_provider(self, settings: dict[str, float]) -> None:
        """Local SES forgets its settings when it is killed: tell them again as soon as it answers."""
        if self._must_tell_settings:
            with suppress(LocalSesError):
                self.localses.change_settings(**settings)
                self._must_tell_settings = False

    # ---- home -------------------------------------------------------------------------------------------

    def _restore_backup(self, dice: random.Random) -> None:
        """Back up now; some seconds later the backup takes the database's place, and must not send."""
        here = self.installation
        here.copy_database(BACKUP)
        self.note("backed up")
        self._count_armed()
        self._restore_later(
            dice,
            there=lambda: here.swap_databases(DATABASE, ASIDE, BACKUP),
            back=lambda: here.swap_databases(DATABASE, BACKUP, ASIDE),
            drop=lambda: here.drop_database(BACKUP),
        )

    def _restore_snapshot(self, dice: random.Random) -> None:
        """The same with the files of the whole server, which bring every mark of home back with them."""
        here = self.installation
        here.copy_files(BACKUP)
        self.note("a snapshot was taken of the server's files")
        self._count_armed()
        known = here.rows("SELECT COALESCE(max(heartbeat), 0) FROM delivery_engine_home")[0][0]

        self._restore_later(
            dice,
            there=lambda: here.swap_files(ASIDE, BACKUP),
            back=lambda: here.swap_files(BACKUP, ASIDE),
            drop=lambda: here.drop_files(BACKUP),
            is_worthwhile=lambda: here.remembered_heartbeat() > known,
        )

    def _restore_later(
        self,
        dice: random.Random,
        *,
        there: Callable[[], None],
        back: Callable[[], None],
        drop: Callable[[], None],
        is_worthwhile: Callable[[], bool] = lambda: True,
    ) -> None:
        def restore() -> None:
            for name in [*self.fleet.running]:
                if name != "localses":
                    self.fleet.kill(name)
            self._seconds.clear()
            self._count_armed()
            if not self.installation.valkey.alive:
                self.installation.start_broker()
            if is_worthwhile():
                self.scene.swaps += 1
                there()
                self.note("the backup took the database's place")
                try:
                    self._watch_restored()
                finally:
                    for name in WORKERS:
                        self.fleet.kill(name)
                    back()
                    self.scene.swaps += 1
                    self.note("the database is back in its place")
            else:
                self.note("the cache was emptied, or nobody has worked since: nothing could tell the snapshot apart")
            drop()
            for name in ("web", *WORKERS):
                self._start(name)

        self.after(dice.uniform(0.5, 3.0), restore)

    def _watch_restored(self) -> None:
        """The workers of the restored database arm nothing, and see that they are not at home."""
        calls = self._calls_of(DATABASE)
        for name in WORKERS:
            self.fleet.start(name)
        is_away = wait_for(lambda: self._is_away(DATABASE), seconds=AWAY_SECONDS)
        time.sleep(WATCH_SECONDS)
        sent = self._calls_of(DATABASE) - calls
        if sent or not is_away:
            raise HomeGuardFailed(
                f"the restored backup armed {sent} calls" if sent else "the backup thinks it is at home"
            )
        self.note("the restored backup sends nothing")

    def _start_copy(self, dice: random.Random) -> None:
        """A copy of the database with workers of its own, everything else as in the original."""
        self.installation.copy_database(COPY)
        self._count_armed()
        own_broker = {"CELERY_BROKER_URL": self.installation.valkey.url(COPY_BROKER)} if dice.random() < 0.5 else {}
        for name in WORKERS:
            self.fleet.start(f"{name}-copy", DATABASE_URL=self.installation.url_of(COPY), **own_broker)
        self.note(
            "a copy runs beside the original, on a broker of its own"
            if own_broker
            else "a copy runs, on the same broker"
        )

        def leave() -> None:
            calls = self._calls_of(COPY)
            for name in WORKERS:
                self.fleet.kill(f"{name}-copy")
            self.installation.drop_database(COPY)
            self.note("the copy is gone")
            if calls != self._copied_calls:
                raise HomeGuardFailed(f"the copy armed {calls - self._copied_calls} calls")

        self._copied_calls = self._calls_of(COPY)
        self.after(10.0, leave)

    def _calls_of(self, database: str) -> int:
        return int(
            self.installation.rows("SELECT count(*) FROM delivery_send_call WHERE state <> 3", database=database)[0][0]
        )

    def _is_away(self, database: str) -> bool:
        return self.installation.rows("SELECT is_away FROM delivery_engine_home", database=database) == [(True,)]

    def heal(self) -> None:
        """Whatever stands still goes on, whatever is dead is started, the clocks are right: the end of every round."""
        while self._todo:
            try:
                heapq.heappop(self._todo)[2]()
            except Exception as error:  # noqa: BLE001 - the round has failed already, and the others are to be healed
                self.note(f"{type(error).__name__}: {error}")
        for name in self._seconds:
            self.fleet.kill(f"{name}-second")
        for name in self._clocks:
            self.fleet.kill(name)
        self._clocks.clear()
        for name in ("web", *WORKERS, "localses"):
            self._start(name)
            self.fleet.thaw(name)
