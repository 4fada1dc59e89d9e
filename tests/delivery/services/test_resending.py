"""Send to those without an answer: once per decision, to exactly those, and the truth about the first attempt wins."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import Conflict, DomainError, NotFound
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import (
    DeliveryEvent,
    EventType,
    ExclusionReason,
    Inbox,
    Mailout,
    Message,
    MessageBatch,
    MessageState,
)
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.selectors.unanswered import times_sent_again, unanswered_call
from delivery.services import resending
from delivery.services.resending import send_again
from organizations.models import AuditEntry, User
from subscribers.models import ConsentRecord, Subscriber
from subscribers.services import consent
from tests.delivery.engine.world import World
from tests.delivery.services.unanswered import (
    check_account,
    decide,
    end,
    let_time_pass,
    message,
    nobody_answers,
    unanswered,
)

# ---- the act ---------------------------------------------------------------------------------------------------


def test_exactly_those_without_an_answer_get_another_attempt_and_the_account_adds_up(
    world: World, raw: Connection
) -> None:
    mailout = unanswered(world, raw, 60, loses=lambda entry: int(entry.address[1:].partition("@")[0]) % 3 == 0)
    assert check_account(mailout)["unknown"] == 20
    lost = set(Message.objects.filter(state=MessageState.UNKNOWN).values_list("n", flat=True))

    assert decide(mailout) == 20
    progress = mailout_progress(mailout)
    assert (progress.state, progress.sent, progress.unknown, progress.waiting) == ("sending", 40, 0, 20)
    check_account(mailout)
    world.run(seconds=1)
    end(mailout, raw)

    assert check_account(mailout)["sent"] == 60
    assert sorted(world.provider.handed_over.values()) == [1] * 40 + [2] * 20
    assert set(Message.objects.filter(attempt=1).values_list("n", flat=True)) == lost
    assert set(Message.objects.filter(attempt=1).values_list("error", flat=True)) == {None}


def test_the_decision_is_written_down_with_what_was_known_of_the_first_attempt(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    alice = User.objects.create_user("alice@example.com")
    call = unanswered_call(mailout, n=1, attempt=0)
    assert call is not None
    assert mailout.finished_at is not None

    send_again(mailout=mailout, finished_at=mailout.finished_at, actor=alice)

    entry = AuditEntry.objects.get(action="mailout.sent_again")
    assert (entry.actor, entry.object_id, entry.detail) == (
        alice,
        str(mailout.pk),
        {"mailout_id": mailout.pk, "people": 2, "batches": 1},
    )
    noted = DeliveryEvent.objects.get(n=1, type=EventType.SENT_AGAIN)
    assert noted.detail is not None
    assert (noted.detail["said"], noted.detail["call"]) == ("answer_lost: read timed out", str(call.call_id))
    assert datetime.fromisoformat(noted.detail["handed_over_at"]) == call.handed_over_at
    assert [(one.who, one.people) for one in times_sent_again(mailout)] == [(str(alice), 2)]


def test_pressing_it_twice_sends_once(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    finished_at = mailout.finished_at
    assert finished_at is not None
    send_again(mailout=mailout, finished_at=finished_at, actor=None)

    with pytest.raises(Conflict, match="still under way"):
        send_again(mailout=mailout, finished_at=finished_at, actor=None)
    world.provider.answer = nobody_answers
    world.run(seconds=1)
    end(mailout, raw)
    let_time_pass(raw)

    # Nobody knows again; the old page's decision was about another end.
    with pytest.raises(Conflict, match="decided meanwhile"):
        send_again(mailout=mailout, finished_at=finished_at, actor=None)
    assert (message(mailout).state, message(mailout).attempt) == (MessageState.UNKNOWN, 1)
    assert AuditEntry.objects.filter(action="mailout.sent_again").count() == 1
    assert set(world.provider.handed_over.values()) == {2}


def test_two_people_at_once_send_once(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 30)
    finished_at = mailout.finished_at
    assert finished_at is not None
    gate = threading.Barrier(2)
    ends: list[int | str] = []

    def press() -> None:
        gate.wait(5)
        try:
            ends.append(send_again(mailout=Mailout.objects.get(), finished_at=finished_at, actor=None))
        except DomainError as error:
            ends.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    world.run(seconds=1)
    end(mailout, raw)

    assert sorted(map(str, ends)) == ["30", "Conflict"]
    assert set(world.provider.handed_over.values()) == {2}
    assert MessageBatch.objects.filter(attempt=1).count() == 1


def test_a_decision_that_fails_halfway_leaves_nothing(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailout = unanswered(world, raw)

    def fail(**given: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(resending, "record", fail)
    with pytest.raises(RuntimeError):
        decide(mailout)

    mailout.refresh_from_db()
    assert (mailout.state, check_account(mailout)["unknown"]) == ("finished", 3)
    assert not MessageBatch.objects.filter(attempt=1).exists()
    assert not DeliveryEvent.objects.exists()


def test_consent_is_checked_again(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    leaver = Subscriber.objects.get(pk=message(mailout, 2).subscriber_id)
    decide(mailout)
    consent.unsubscribe(
        subscriber=leaver, list_id=None, method=ConsentRecord.Method.PAGE, at=timezone.now(), ip="", user_agent=""
    )

    world.run(seconds=1)
    end(mailout, raw)

    assert world.provider.handed_over[leaver.email] == 1
    left = message(mailout, 2)
    assert (left.state, left.reason) == (MessageState.EXCLUDED, ExclusionReason.UNSUBSCRIBED)
    account = check_account(mailout)
    assert (account["sent"], account["excluded"]) == (2, 1)


def test_a_dry_run_is_simulated_again(world: World, raw: Connection) -> None:
    world.add_people(2)
    mailout = world.launch(is_dry_run=True)
    world.run(seconds=1)
    end(mailout, raw)
    raw.execute("UPDATE delivery_message SET state = 4, provider_id = NULL, sent_at = NULL")
    raw.execute("UPDATE delivery_message_batch SET unknown = sent, sent = 0")
    raw.execute("UPDATE delivery_mailout SET is_account_stale = true")
    tick(raw, slots=2)
    let_time_pass(raw)

    assert decide(mailout) == 2
    world.run(seconds=1)
    tick(raw, slots=2)

    mailout.refresh_from_db()
    assert mailout_account(mailout).states["simulated"] == 2
    assert not world.provider.handed_over


# ---- what may not be -------------------------------------------------------------------------------------------


def test_nobody_is_tried_again_while_the_first_call_may_still_be_accepted(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    raw.execute("UPDATE delivery_send_call SET armed_at = clock_timestamp() - interval '14 minutes'")

    with pytest.raises(Conflict, match="may still accept"):
        decide(mailout)

    assert message(mailout).attempt == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("state = 'cancelled'", "stopped for good"),
        ("state = 'paused'", "under way"),
        ("not_after = now() - interval '1 s'", "reach nobody"),
    ],
)
def test_a_mailout_that_is_not_over_or_was_stopped_or_is_too_late_is_left_alone(
    world: World, raw: Connection, change: str, why: str
) -> None:
    mailout = unanswered(world, raw)
    raw.execute(f"UPDATE delivery_mailout SET {change}".encode())

    with pytest.raises(Conflict, match=why):
        decide(mailout)

    assert message(mailout).state == MessageState.UNKNOWN


def test_an_installation_that_sends_nothing_sends_nothing_again(
    world: World, raw: Connection, settings: Settings
) -> None:
    mailout = unanswered(world, raw)
    settings.SENDING_MODE = "dry_run"

    with pytest.raises(Conflict, match="SENDING_MODE"):
        decide(mailout)


def test_a_list_that_was_deleted_never_means_everybody(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    raw.execute("UPDATE delivery_mailout SET list_ids = ARRAY[0]")

    with pytest.raises(NotFound):
        decide(mailout)

    assert message(mailout).state == MessageState.UNKNOWN


def test_news_that_waits_to_be_read_is_read_first(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    Inbox.objects.create(source="ses", body=b"{}")
    Inbox.objects.update(received_at=timezone.now() - timedelta(minutes=2))

    with pytest.raises(Conflict, match="News of the provider"):
        decide(mailout)

    assert message(mailout).state == MessageState.UNKNOWN


def test_with_nobody_unanswered_there_is_nothing_to_decide(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, loses=lambda entry: False)

    with pytest.raises(Conflict, match="Nobody is without an answer"):
        decide(mailout)
