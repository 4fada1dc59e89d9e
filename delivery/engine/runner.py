"""One account's part of the engine loop: settle what came back, arm what comes next, hand it to the sender."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

import psycopg
import structlog

from delivery.engine import limiter
from delivery.engine.arming import ArmPlan, CommitUnknown, find_calls, settle_and_arm
from delivery.engine.calls import Call, Packer, Refused
from delivery.engine.claiming import Batch, claim_batch, release_batch, renew_lease
from delivery.engine.database import Connection
from delivery.engine.emails import EmailCache
from delivery.engine.late import settle_late
from delivery.engine.reading import read_people
from delivery.engine.sending import Sender
from delivery.engine.signals import SignalWatch
from delivery.models import CallState, Lane
from delivery.providers.base import PermanentError, Provider

logger = structlog.get_logger(__name__)

EXTRA_CALLS = 12  # armed calls that wait for a free thread, so that no thread waits for a commit
SETTLE_WITHIN_SECONDS = 0.02
RENEW_AFTER_SECONDS = 10.0
PREEMPT_EVERY_SECONDS = 0.05
LARGEST_READ = 1000  # people


class AccountRunner:
    """Drives one account in one process. `step` never blocks on the network; results arrive through `results`."""

    def __init__(
        self,
        account_id: int,
        provider: Provider,
        *,
        threads: int,
        results: SimpleQueue[Call],
        connect: Callable[[], Connection],
    ) -> None:
        self.account_id = account_id
        self.threads = threads
        self.window = threads + max(EXTRA_CALLS, threads // 2)
        self._sender = Sender(provider, results, threads=threads)
        self._packer = Packer(provider)
        self._emails = EmailCache(provider)
        self._connect = connect
        self._signals = SignalWatch(account_id)
        self._batches: list[Batch] = []  # the last one is armed next; earlier ones were overtaken
        self._stalled: list[Batch] = []  # could not be armed; handed back when nothing of them is in flight
        self._finished: list[Call] = []
        # What a commit was about that may not have happened.
        self._doubt: tuple[list[Call], ArmPlan | None] | None = None
        self._in_flight = 0
        self._grant: limiter.Grant | None = None
        # Letters have a grant of their own: a campaign's may start a tenth of a second later, and is kept meanwhile.
        self._other_grant: limiter.Grant | None = None
        self._is_for_letters = False  # whom `_grant` is for; `_other_grant` is for the others
        self._turn = 0
        self._settled_at = monotonic()
        self._looked_at = 0.0
        self._wake_at = 0.0  # monotonic time before which a step without results is pointless
        self.has_progressed = False  # whether the last step settled or armed something

    @property
    def is_busy(self) -> bool:
        return self._in_flight > 0 or bool(self._finished) or self._doubt is not None

    @property
    def is_waiting(self) -> bool:
        """Whether a claimed batch waits for its grant: the slice ends, the work goes on."""
        return bool(self._batches)

    @property
    def awaits_start(self) -> bool:
        """Whether it has a grant whose start lies ahead: given back now, its place in time would be lost to all."""
        return self._grant is not None and self._grant.starts_at > monotonic()

    def expect_work(self) -> None:
        """Something is due for this account: look now, unless a grant is being waited for."""
        if not self._batches:
            self._wake_at = 0.0

    def next_step_at(self, now: float) -> float:
        """Monotonic time of the next step that makes sense without a further result."""
        if self._finished:
            return self._settled_at + SETTLE_WITHIN_SECONDS
        return self._wake_at if self._in_flight < self.window else now + 1.0

    def finish(self, call: Call) -> None:
        """Take a call back from the sender; it is settled with the next step."""
        self._finished.append(call)
        self._in_flight -= 1

    def is_due(self, now: float, *, is_stopping: bool) -> bool:
        """Whether a step would do something: enough results to be worth a transaction, or room to arm."""
        if self._doubt is not None:
            return True
        if self._finished and (
            is_stopping
            or self._in_flight == 0
            or len(self._finished) * 2 >= self.window
            or now - self._settled_at >= SETTLE_WITHIN_SECONDS
        ):
            return True
        return not is_stopping and not self._finished and self._in_flight < self.window and now >= self._wake_at

    def step(self, connection: Connection, *, is_stopping: bool) -> Connection:
        """Settle and arm once. Returns the connection to go on with: a new one when the old one broke.

        Whatever the database does, no result is lost: what was not settled is kept for the next step.
        """
        self.has_progressed = False
        self._resolve_doubt(connection)
        finished = list(self._finished)
        if self._signals.obey(connection, finished):
            self._drop_grants(connection)
        plan = None if is_stopping else self._plan(connection)
        self.has_progressed = bool(finished) or plan is not None
        if not self.has_progressed:
            return connection
        # Before the commit: a process that is stopped right after it must find its calls too old.
        armed_at = monotonic()
        try:
            committed = settle_and_arm(connection, finished, plan)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            logger.info("delivery.lock_conflict", account=self.account_id)
            return connection
        except CommitUnknown as error:
            logger.warning("delivery.commit_unknown", account=self.account_id, error=str(error))
            self._finished, self._doubt = [], (finished, plan)
            connection = self._connect()
            self._resolve_doubt(connection)
            return connection
        self._settled_at = monotonic()
        self._finished = committed.late  # until they are settled, too, after what is armed is on its way
        if plan is not None and committed.armed:
            self._dispatch(connection, plan, armed_at)
        elif plan is not None:  # paused, cancelled, or claimed by somebody else after our lease ran out
            self._batches.remove(plan.batch)
            self._stalled.append(plan.batch)
        settle_late(connection, committed.late)
        self._finished = []
        self._hand_back_stalled(connection)
        return connection

    def _dispatch(self, connection: Connection, plan: ArmPlan, armed_at: float) -> None:
        grant, people = self._grant, sum(len(call.people) for call in plan.calls)
        starts_at = grant.starts_at if grant is not None else armed_at
        if grant is not None and grant.is_late and plan.batch.lane > Lane.TRANSACTIONAL:
            starts_at = self._book_anew(connection, people, len(plan.calls))
        for call in plan.calls:
            call.armed_at = armed_at
            call.not_before = starts_at
            call.is_probe = grant is not None and grant.is_probe
        self._in_flight += len(plan.calls)
        if grant is not None and not plan.batch.is_dry_run:
            grant.left -= people
        self._sender.submit(plan.calls)
        if plan.batch.is_exhausted:
            self._batches.remove(plan.batch)

    def _book_anew(self, connection: Connection, people: int, calls: int) -> float:
        try:
            return monotonic() + limiter.book_anew(connection, self.account_id, people=people, calls=calls)
        except psycopg.Error:
            return monotonic()  # they are armed and go out, whatever the database does; the next step meets it again

    def _hand_back_stalled(self, connection: Connection) -> None:
        if self._stalled and not self.is_busy:
            for batch in self._stalled:
                release_batch(connection, batch)
            self._stalled.clear()

    def _resolve_doubt(self, connection: Connection) -> None:
        """After an unknown commit: look for the calls' ids. Nothing of the plan is sent, whatever is found.

        Found: the results are in, and the plan's calls, armed and never handed over, are given back as not sent.
        Not found: the results are kept and applied again. Applying twice changes nothing, so a doubt is no danger.
        While the database stays away the doubt stays, too.
        """
        if self._doubt is None:
            return
        finished, plan = self._doubt
        planned = plan.calls if plan is not None else []
        known = find_calls(connection, [call.id for call in planned] + [call.id for call in finished])
        armed = [call for call in planned if call.id in known]
        if armed or (finished and all(known.get(call.id) != CallState.ARMED for call in finished)):
            settle_late(connection, finished)
        else:
            self._finished = finished + self._finished
        self._doubt = None
        if plan is not None:
            if armed:
                plan.batch.armed_to = plan.upto
                self._finished += armed  # without a result: not sent
            self._batches.remove(plan.batch)
            self._stalled.append(plan.batch)

    def _plan(self, connection: Connection) -> ArmPlan | None:
        now = monotonic()
        room = self.window - self._in_flight
        if room <= 0 or now < self._wake_at:
            return None
        batch = self._next_batch(connection, now)
        if batch is None:
            self._wake_at = now + 0.2
            return None
        if batch.not_after is not None and batch.now() >= batch.not_after:
            # Nobody of it is sent to, so it waits neither for a rate nor for an account that is parked.
            late = read_people(connection, batch, LARGEST_READ, now=batch.now())
            return ArmPlan(batch, late.upto, excluded=late.excluded)
        grant = self._take_grant(connection, batch, room)
        if grant is None:
            return None
        size = min(grant.entries_per_call, batch.call_size or grant.entries_per_call)
        count = min(room * size, grant.left, LARGEST_READ)
        checked_at = batch.now()
        reading = read_people(connection, batch, count, now=checked_at)
        try:
            email = self._emails.get(connection, batch.mailout_id, batch.email_no)
        except PermanentError as error:
            logger.exception("delivery.email_not_sendable", mailout=batch.mailout_id)
            return ArmPlan(
                batch,
                reading.upto,
                refused=[_refusal(row[0], error) for row in reading.people],
                excluded=reading.excluded,
            )
        packed = self._packer.pack(email, batch, reading.people, upto=reading.upto, entries_per_call=size)
        return ArmPlan(batch, packed.upto, packed.calls, reading.excluded, packed.refused, checked_at)

    def _next_batch(self, connection: Connection, now: float) -> Batch | None:
        current = self._batches[-1] if self._batches else None
        if current is not None and current.lane > Lane.TRANSACTIONAL and now - self._looked_at >= PREEMPT_EVERY_SECONDS:
            self._looked_at = now
            overtaking = claim_batch(connection, self.account_id, turn=self._turn, above_lane=current.lane)
            if overtaking is not None:
                self._batches.append(overtaking)
                return overtaking
        if current is not None:
            if now - self._settled_at > RENEW_AFTER_SECONDS and not self.is_busy:
                self._settled_at = now
                if not renew_lease(connection, current):
                    self._batches.remove(current)
                    return None
            return current
        claimed = claim_batch(connection, self.account_id, turn=self._turn)
        if claimed is not None:
            self._turn += 1
            self._batches.append(claimed)
        return claimed

    def _take_grant(self, connection: Connection, batch: Batch, room: int) -> limiter.Grant | None:
        if batch.is_dry_run:
            return limiter.unlimited_grant(limiter.MAX_ENTRIES)
        if self._is_for_letters != (batch.lane == Lane.TRANSACTIONAL):
            self._is_for_letters = not self._is_for_letters
            self._grant, self._other_grant = self._other_grant, self._grant
        if self._grant is not None and self._grant.is_void:
            limiter.give_back(connection, self._grant)
            self._grant = None
        if self._grant is None:
            remaining = batch.hi - batch.armed_to
            # No more than its own people for a letter: a grant of a campaign's size may not start ahead.
            is_small = batch.rate_limit or self._is_for_letters
            wanted = remaining if is_small else max(remaining, LARGEST_READ * 10)
            answer = limiter.take(
                connection,
                self.account_id,
                lane=batch.lane,
                wanted=wanted,
                room=room,
                most_per_call=self._packer.provider.limits.entries_per_call,
            )
            if isinstance(answer, limiter.Refusal):
                self._wake_at = monotonic() + answer.seconds
                return None
            self._grant = answer
        if self._grant.starts_at - self._grant.lead > monotonic():
            # Not later than the next look for what overtakes, or a letter would wait for this campaign's start, too.
            self._wake_at = min(self._grant.starts_at - self._grant.lead, monotonic() + PREEMPT_EVERY_SECONDS)
            return None
        if batch.rate_limit:
            allowed = limiter.take_of_mailout(
                connection, batch.mailout_id, wanted=min(self._grant.left, room * self._grant.entries_per_call)
            )
            if isinstance(allowed, limiter.Refusal):
                self._wake_at = monotonic() + allowed.seconds
                return None
            return limiter.Grant(self.account_id, allowed, self._grant.entries_per_call, self._grant.starts_at)
        return self._grant

    def release(self, connection: Connection) -> None:
        """At the end of a slice, after everything in flight was settled: hand back what was claimed and granted."""
        for batch in self._batches + self._stalled:
            release_batch(connection, batch)
        self._batches.clear()
        self._stalled.clear()
        self._drop_grants(connection)
        self._sender.end_slice()

    def _drop_grants(self, connection: Connection) -> None:
        for grant in (self._grant, self._other_grant):
            if grant is not None:
                limiter.give_back(connection, grant)
        self._grant = self._other_grant = None

    def close(self) -> None:
        self._sender.close()


def _refusal(n: int, error: PermanentError) -> Refused:
    return Refused(n, f"limit: {error}")
