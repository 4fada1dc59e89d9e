"""Outages: calls without an answer, probes, and what ends them."""

from __future__ import annotations

import threading
from datetime import timedelta

from django.utils import timezone

from delivery.engine import limiter, outages
from delivery.engine.database import Connection, open_connection
from delivery.engine.limiter import Grant, Refusal
from delivery.models import ParkReason, SendingAccount
from tests.delivery.engine.pacing import granted, pace_of, refused, set_pace, take


def test_the_calls_that_were_out_when_an_outage_began_are_one_outage(account: SendingAccount, raw: Connection) -> None:
    """Each of them doubled the wait for the first probe: an outage of a moment cost minutes."""
    waits = []
    for _ in range(12):
        outages.note_call(raw, account.pk, is_ambiguous=True)
        waits.append(pace_of(account).probe_seconds)

    assert waits == [0, 0] + [2] * 10
    probe_at = pace_of(account).probe_at
    assert probe_at is not None
    assert timezone.now() < probe_at < timezone.now() + timedelta(seconds=2)


def test_the_wait_doubles_with_each_probe_up_to_its_bound(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, ambiguous_streak=3, probe_seconds=2)
    waits = []
    for _ in range(9):
        set_pace(account, probe_at=timezone.now())
        assert granted(take(raw, account, 1000)).is_probe
        outages.note_call(raw, account.pk, is_ambiguous=True)
        pace = pace_of(account)
        assert pace.probe_at is not None
        assert pace.probe_seconds - 1 < (pace.probe_at - timezone.now()).total_seconds() <= pace.probe_seconds
        waits.append(pace.probe_seconds)

    assert waits == [4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_an_answer_between_breaks_the_row(account: SendingAccount, raw: Connection) -> None:
    for is_ambiguous in (True, True, False, True, True):
        outages.note_call(raw, account.pk, is_ambiguous=is_ambiguous)

    assert (pace_of(account).ambiguous_streak, pace_of(account).probe_seconds) == (2, 0)


def test_a_probe_is_one_person_at_a_time_until_an_answer_comes(account: SendingAccount, raw: Connection) -> None:
    for _ in range(3):
        outages.note_call(raw, account.pk, is_ambiguous=True)
    waiting = refused(take(raw, account, 1000))
    assert waiting.reason == ParkReason.OUTAGE
    assert 0 < waiting.seconds <= 1.0

    set_pace(account, probe_at=timezone.now())
    probe = granted(take(raw, account, 1000))
    assert (probe.left, probe.entries_per_call, probe.is_probe) == (1, 1, True)
    assert refused(take(raw, account, 1000)).reason == ParkReason.OUTAGE

    outages.note_call(raw, account.pk, is_ambiguous=False)
    assert granted(take(raw, account, 1000)).left == 1000
    assert pace_of(account).probe_at is None


def test_a_partial_outage_ends_with_ten_answered_probes_in_a_row(account: SendingAccount, raw: Connection) -> None:
    outages.note_partial_outage(raw, account.pk)
    outages.note_call(raw, account.pk, is_ambiguous=False)  # of a call that was out already
    assert pace_of(account).probe_seconds == outages.PROBE_FIRST_SECONDS

    for is_answered, wanted in ((True, 9), (True, 8), (False, 10)):
        outages.note_probe(raw, account.pk, is_answered=is_answered)
        assert pace_of(account).probes_wanted == wanted
    for _ in range(outages.PARTIAL_PROBES):
        assert pace_of(account).probe_seconds > 0
        outages.note_probe(raw, account.pk, is_answered=True)

    pace = pace_of(account)
    assert (pace.probes_wanted, pace.probe_seconds, pace.probe_at) == (0, 0, None)
    outages.note_probe(raw, account.pk, is_answered=False)
    assert pace_of(account).probes_wanted == 0


def test_two_probes_at_the_same_moment_are_one(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, probe_seconds=60.0, probe_at=timezone.now())
    barrier = threading.Barrier(4)
    answers: list[Grant | Refusal] = []

    def probe() -> None:
        with open_connection() as connection:
            barrier.wait()
            answers.append(limiter.take(connection, account.pk, lane=2, wanted=10))

    threads = [threading.Thread(target=probe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(answer, Grant) for answer in answers) == 1
