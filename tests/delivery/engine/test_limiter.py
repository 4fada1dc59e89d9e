"""The limiter: rates that hold over any second, shares of calls, the day, slowing down, probing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from time import monotonic, sleep

import pytest
from django.utils import timezone

from delivery.engine import limiter
from delivery.engine.database import Connection, open_connection
from delivery.engine.limiter import Grant, Refusal, entries_per_call
from delivery.engine.ticking import roll_day
from delivery.models import AccountUsage, Lane, Mailout, ParkReason, SendingAccount
from tests.delivery.engine.pacing import granted, pace_of, refused, set_pace, take
from tests.factories import AccountFactory, MailoutFactory


@pytest.fixture
def grants(account: SendingAccount, raw: Connection) -> Iterator[str]:
    """A table of what was granted, by the database's clock: the way there and back blurs ours."""
    raw.execute("CREATE TABLE granted (starts_at timestamptz, n int)")
    raw.execute(
        """
        CREATE FUNCTION note_grant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO granted VALUES (GREATEST(OLD.mail_tat, OLD.call_tat, clock_timestamp()), NEW.day_used - OLD.day_used);
            RETURN NEW; END $$
        """
    )
    raw.execute(
        "CREATE TRIGGER note_grant AFTER UPDATE ON delivery_account_pace FOR EACH ROW "
        "WHEN (NEW.day_used > OLD.day_used) EXECUTE FUNCTION note_grant()"
    )
    yield "granted"
    raw.execute("DROP FUNCTION note_grant CASCADE")
    raw.execute("DROP TABLE granted")


@pytest.mark.parametrize("rate", [14.0, 50.0, 2000.0])
def test_four_workers_together_stay_within_the_rate_over_any_second(
    account: SendingAccount, raw: Connection, grants: str, rate: float
) -> None:
    set_pace(account, max_rate=rate, max_calls=1000.0)
    deadline = monotonic() + 1.6

    def work() -> None:
        with open_connection() as connection:
            while monotonic() < deadline:
                answer = limiter.take(connection, account.pk, lane=Lane.CAMPAIGN, wanted=1000)
                if isinstance(answer, Refusal):
                    sleep(answer.seconds)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Less than a second, since a trigger notes a start some milliseconds after it was granted.
    most, total = raw.execute(
        f"""
        SELECT max(within), max(total) FROM (
            SELECT sum(n) OVER (ORDER BY starts_at RANGE BETWEEN CURRENT ROW AND interval '950 ms' FOLLOWING) AS within,
                   sum(n) OVER () AS total FROM {grants}) g
        """
    ).fetchone() or (0, 0)
    assert most <= rate * 1.1
    assert total >= rate * 1.2  # and it is not simply slow


@pytest.mark.parametrize(
    ("rate", "calls", "entries"),
    [
        (1.0, 1000.0, 1),
        (14.0, 1000.0, 1),
        (50.0, 1000.0, 2),
        (200.0, 20.0, 10),
        (999.0, 1000.0, 49),
        (1000.0, 1000.0, 50),
        (60_000.0, 10_000.0, 50),
        # calls per second are what limits
        (14.0, 1.0, 14),
        (14.0, 0.5, 14),
        (14.0, 4.0, 4),
        (40.0, 2.0, 20),
        (500.0, 2.0, 50),
        (0.5, 1000.0, 1),
    ],
)
def test_a_call_carries_a_twentieth_of_the_rate_unless_calls_are_what_limits(
    rate: float, calls: float, entries: int
) -> None:
    assert entries_per_call(rate, calls) == entries


def test_a_grant_is_one_call_or_a_twentieth_of_a_second(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, max_rate=14.0)
    assert granted(take(raw, account, 1000)).left == 1

    set_pace(account, max_rate=2000.0, mail_tat=timezone.now(), call_tat=timezone.now())
    grant = granted(take(raw, account, 1000))

    assert (grant.left, grant.entries_per_call, grant.is_probe) == (100, 50, False)
    assert granted(take(raw, account, 3)).left == 3


def test_calls_per_second_hold_too(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, max_rate=10_000.0, max_calls=10.0)

    grant = granted(take(raw, account, 1000))

    assert grant.left == 50  # one call, and the next in a tenth of a second
    assert isinstance(take(raw, account, 1000), Refusal)
    sleep(0.06)
    assert granted(take(raw, account, 1000)).starts_at - grant.starts_at == pytest.approx(0.1, abs=0.02)


def test_a_grant_is_of_no_more_than_can_be_armed_now_unless_the_processor_is_what_limits(
    account: SendingAccount, raw: Connection
) -> None:
    set_pace(account, max_rate=10_000.0)
    assert granted(limiter.take(raw, account.pk, lane=Lane.CAMPAIGN, wanted=1000, room=3)).left == 150

    set_pace(account, max_rate=100_000.0, mail_tat=timezone.now(), call_tat=timezone.now())
    grant = granted(limiter.take(raw, account.pk, lane=Lane.CAMPAIGN, wanted=1000, room=3))

    assert (grant.left, grant.life) == (1000, 1.0)


@pytest.mark.parametrize(
    ("rate", "lane", "lead"),
    [
        (200.0, Lane.CAMPAIGN, 0.05),
        (200.0, Lane.AUTOMATION, 0.05),
        (200.0, Lane.TRANSACTIONAL, 0.0),
        (50_000.0, Lane.CAMPAIGN, 0.01),
    ],
)
def test_a_grant_starts_a_moment_later_so_that_its_calls_are_armed_by_then(
    account: SendingAccount, raw: Connection, rate: float, lane: Lane, lead: float
) -> None:
    set_pace(account, max_rate=rate)

    asked_at = monotonic()
    grant = granted(take(raw, account, 1, lane=lane))

    assert grant.lead == lead
    assert lead <= grant.starts_at - asked_at < lead + 0.5


def test_a_horizon_lets_the_transactional_lane_in_where_a_campaign_has_to_wait(
    account: SendingAccount, raw: Connection
) -> None:
    later = timezone.now() + timedelta(seconds=2)
    set_pace(account, mail_tat=later, letter_tat=later)

    refused(take(raw, account))
    refused(take(raw, account, lane=Lane.AUTOMATION))
    grant = granted(take(raw, account, lane=Lane.TRANSACTIONAL))

    assert 1.5 < grant.starts_at - monotonic() <= 2.0
    assert not grant.is_void


def test_half_a_hundredth_of_the_rate_starts_ahead_of_what_is_booked_if_it_is_transactional(
    account: SendingAccount, raw: Connection
) -> None:
    booked = timezone.now() + timedelta(seconds=2)
    set_pace(account, max_rate=1000.0, mail_tat=booked, letter_tat=timezone.now())

    first = granted(take(raw, account, 5, lane=Lane.TRANSACTIONAL))
    assert first.starts_at - monotonic() <= 0.0
    second = granted(take(raw, account, 5, lane=Lane.TRANSACTIONAL))  # within the half second that five letters take
    assert second.starts_at - monotonic() > 1.0
    assert pace_of(account).mail_tat >= booked + timedelta(seconds=10 / 1000)  # both push back whoever comes next

    set_pace(account, letter_tat=timezone.now())
    too_many = granted(take(raw, account, 11, lane=Lane.TRANSACTIONAL))
    assert too_many.starts_at - monotonic() > 1.0


def test_a_grant_is_void_when_it_is_used_up_or_waited_too_long() -> None:
    now = monotonic()

    assert not Grant(1, 5, 1, now).is_void
    assert Grant(1, 0, 1, now).is_void
    assert Grant(1, 5, 1, now - 1.01).is_void
    assert not Grant(1, 5, 1, now + 100).is_void


def test_the_day_ends_for_campaigns_two_percent_earlier(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, day_limit=1000, day_used=970)

    assert granted(take(raw, account, 100)).left == 10
    assert refused(take(raw, account, 100)).reason == ParkReason.QUOTA
    assert granted(take(raw, account, 100, lane=Lane.TRANSACTIONAL)).left == 20
    assert refused(take(raw, account, 1, lane=Lane.TRANSACTIONAL)).reason == ParkReason.QUOTA
    assert pace_of(account).day_used == 1000
    assert sum(AccountUsage.objects.values_list("n", flat=True)) == 30


def test_what_a_grant_did_not_use_is_given_back_once(account: SendingAccount, raw: Connection) -> None:
    grant = granted(take(raw, account, 30))
    grant.left -= 12

    limiter.give_back(raw, grant)
    limiter.give_back(raw, grant)

    assert grant.left == 0
    assert pace_of(account).day_used == 12
    assert AccountUsage.objects.get().n == 12


def test_what_is_given_back_in_a_later_minute_is_taken_off_the_minute_that_counts_it(
    account: SendingAccount, raw: Connection
) -> None:
    grant = granted(take(raw, account, 30))
    assert grant.minute is not None
    grant.minute -= timedelta(minutes=5)
    AccountUsage.objects.update(minute=grant.minute)
    later = granted(take(raw, account, 7))

    limiter.give_back(raw, grant)

    assert pace_of(account).day_used == later.left == 7
    assert list(AccountUsage.objects.order_by("minute").values_list("minute", "n")) == [
        (grant.minute, 0),
        (later.minute, 7),
    ]
    roll_day(raw)
    assert pace_of(account).day_used == 7


def test_a_minute_that_has_left_the_day_takes_nothing_back(account: SendingAccount, raw: Connection) -> None:
    grant = granted(take(raw, account, 30))
    AccountUsage.objects.all().delete()

    limiter.give_back(raw, grant)

    assert pace_of(account).day_used == 30


def test_a_grant_that_commits_while_the_day_rolls_on_is_counted(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, mail_tat=timezone.now() - timedelta(minutes=1))
    other = open_connection()
    try:
        with other.transaction():
            grant = granted(take(other, account, 30))
            rolling = threading.Thread(target=roll_day, args=(raw,))
            rolling.start()
            wait_for_a_lock(other)
        rolling.join()
    finally:
        other.close()

    assert pace_of(account).day_used == grant.left == 30


def wait_for_a_lock(connection: Connection) -> None:
    """Until somebody waits for a lock of this database."""
    deadline = monotonic() + 5
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while connection.execute(waiting).fetchone() == (0,):
        assert monotonic() < deadline, "nobody waits"
        sleep(0.005)


def test_dry_runs_use_nobodys_quota(raw: Connection) -> None:
    grant = limiter.unlimited_grant(50)

    limiter.give_back(raw, grant)

    assert (grant.left, grant.entries_per_call) == (limiter.UNLIMITED, 50)
    assert AccountUsage.objects.count() == 0


def test_an_account_without_a_row_gets_nothing(raw: Connection) -> None:
    assert limiter.take(raw, 999_999_999, lane=2, wanted=1) == Refusal(5.0, "no pace row")


def test_eight_throttled_calls_at_once_lower_the_factor_once(account: SendingAccount, raw: Connection) -> None:
    for _ in range(8):
        limiter.slow_down(raw, account.pk)
    assert pace_of(account).factor == pytest.approx(0.7)

    set_pace(account, decreased_at=timezone.now() - timedelta(seconds=1.1))
    limiter.slow_down(raw, account.pk)

    assert pace_of(account).factor == pytest.approx(0.49)


@pytest.mark.parametrize(("rate", "factor"), [(14.0, 1 / 14), (0.5, 1.0)])
def test_the_factor_never_falls_below_one_email_a_second(
    account: SendingAccount, raw: Connection, rate: float, factor: float
) -> None:
    set_pace(account, max_rate=rate)

    for _ in range(15):
        set_pace(account, decreased_at=None)
        limiter.slow_down(raw, account.pk)

    assert pace_of(account).factor == pytest.approx(factor)


def test_a_lowered_factor_slows_grants_and_recovers_by_two_percent_per_clean_second(
    account: SendingAccount, raw: Connection
) -> None:
    set_pace(account, max_rate=1000.0, factor=0.5, decreased_at=timezone.now())
    assert granted(take(raw, account, 1000)).left == 25
    assert pace_of(account).factor == 0.5  # not in the second of the decrease

    long_ago = timezone.now() - timedelta(seconds=5)
    set_pace(account, decreased_at=long_ago, mail_tat=long_ago, call_tat=long_ago)
    granted(take(raw, account, 1))
    granted(take(raw, account, 1))
    assert pace_of(account).factor == pytest.approx(0.52)  # once

    set_pace(account, factor=0.99, increased_at=long_ago)
    granted(take(raw, account, 1))
    assert pace_of(account).factor == 1.0


def test_a_stronger_park_is_not_replaced_by_another(account: SendingAccount, raw: Connection) -> None:
    limiter.park(raw, account.pk, ParkReason.PAUSED)
    limiter.park(raw, account.pk, ParkReason.OUTAGE, seconds=5)
    limiter.park_for_quota(raw, account.pk)

    pace = pace_of(account)
    assert (pace.parked_reason, pace.parked_until) == (ParkReason.PAUSED, None)
    assert refused(take(raw, account)).reason == ParkReason.PAUSED


def test_a_park_whose_time_is_over_is_replaced(account: SendingAccount, raw: Connection) -> None:
    set_pace(account, parked_reason=ParkReason.OUTAGE, parked_until=timezone.now() - timedelta(seconds=1))

    limiter.park(raw, account.pk, ParkReason.MISCONFIGURED)

    assert pace_of(account).parked_reason == ParkReason.MISCONFIGURED


@pytest.mark.parametrize(
    ("oldest", "expected"),
    [
        (timedelta(hours=23), timedelta(hours=1, minutes=1)),
        (timedelta(hours=23, minutes=58), timedelta(minutes=10)),
        (timedelta(hours=25), timedelta(minutes=10)),
        (None, timedelta(minutes=10)),
    ],
)
def test_a_used_up_day_parks_until_the_oldest_minute_leaves_it(
    account: SendingAccount, raw: Connection, oldest: timedelta | None, expected: timedelta
) -> None:
    now = timezone.now()
    if oldest is not None:
        AccountUsage.objects.create(account_id=account.pk, minute=now - oldest, n=5)
        AccountUsage.objects.create(account_id=account.pk, minute=now - timedelta(hours=23, minutes=30), n=0)

    limiter.park_for_quota(raw, account.pk)

    pace = pace_of(account)
    assert pace.parked_reason == ParkReason.QUOTA
    assert pace.parked_until is not None
    assert abs(pace.parked_until - now - expected) < timedelta(seconds=5)


def test_the_day_rolls_on_and_lets_parks_go_whose_time_has_come(account: SendingAccount, raw: Connection) -> None:
    now = timezone.now()
    other = AccountFactory.create(organization=account.organization)
    held = AccountFactory.create(organization=account.organization)
    for minutes, n in ((1, 5), (60 * 23, 7), (60 * 24 + 1, 11), (60 * 25 + 1, 13)):
        AccountUsage.objects.create(account_id=account.pk, minute=now - timedelta(minutes=minutes), n=n)
    set_pace(account, day_used=36, parked_reason=ParkReason.QUOTA, parked_until=now)
    set_pace(other, day_used=3, parked_reason=ParkReason.OUTAGE, parked_until=now + timedelta(minutes=5))
    set_pace(held, parked_reason=ParkReason.PAUSED, parked_until=None)

    roll_day(raw)

    assert (pace_of(account).day_used, pace_of(account).parked_reason) == (12, "")
    assert (pace_of(other).day_used, pace_of(other).parked_reason) == (0, ParkReason.OUTAGE)
    assert pace_of(held).parked_reason == ParkReason.PAUSED
    assert sorted(AccountUsage.objects.values_list("n", flat=True)) == [5, 7, 11]


# a mailout's own pace


def take_of(raw: Connection, mailout: Mailout, wanted: int) -> int | Refusal:
    return limiter.take_of_mailout(raw, mailout.pk, wanted=wanted)


def test_a_mailouts_own_pace_gives_a_tenth_of_a_second_at_a_time(account: SendingAccount, raw: Connection) -> None:
    mailout = MailoutFactory.create(account=account, organization=account.organization, rate_limit=100.0)
    # nobody has taken any yet: the first tenth of a second comes with the burst
    assert [take_of(raw, mailout, 50), take_of(raw, mailout, 50)] == [10, 10]
    assert take_of(raw, mailout, 50) == Refusal(0.05)

    Mailout.objects.update(pace_tat=timezone.now() - timedelta(seconds=1))
    assert take_of(raw, mailout, 3) == 3


def test_a_slow_pace_gives_one_person_at_a_time(account: SendingAccount, raw: Connection) -> None:
    mailout = MailoutFactory.create(account=account, organization=account.organization, rate_limit=0.5)

    assert take_of(raw, mailout, 50) == 1
    assert isinstance(take_of(raw, mailout, 50), Refusal)
    mailout.refresh_from_db()
    assert isinstance(mailout.pace_tat, datetime)
    assert 1.5 < (mailout.pace_tat - timezone.now()).total_seconds() <= 2.0
