"""Between launch and arming people leave, bounce, complain, change and vanish: the engine looks again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from delivery.engine import reading
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import ExclusionReason, Mailout, Message, MessageState
from delivery.selectors.audience import Audience
from delivery.selectors.progress import mailout_account, mailout_progress
from subscribers.models import Subscriber, SubscriberStatus, SubscriptionState, Suppression
from subscribers.services.consent import resubscribe, unsubscribe
from subscribers.services.suppressing import suppress
from tests.delivery.engine.world import World
from tests.factories import OrganizationFactory, SubscriptionFactory

Act = Callable[[World, Subscriber], None]


def leave_the_list(world: World, person: Subscriber) -> None:
    unsubscribe(subscriber=person, list_id=world.list.pk, method="page", at=timezone.now())


def leave_everything(_world: World, person: Subscriber) -> None:
    unsubscribe(subscriber=person, list_id=None, method="one_click", at=timezone.now())


def suppress_by_hand(world: World, person: Subscriber) -> None:
    suppress(
        organization=world.organization,
        address_key=person.address_key,
        scope="all",
        reason="manual",
        source="test",
        at=timezone.now(),
    )


def suppress_marketing(world: World, person: Subscriber) -> None:
    suppress(
        organization=world.organization,
        address_key=person.address_key,
        scope="marketing",
        reason="manual",
        source="test",
        at=timezone.now(),
    )


def suppress_for_the_list(world: World, person: Subscriber) -> None:
    suppress(
        organization=world.organization,
        address_key=person.address_key,
        scope="list",
        list_id=world.list.pk,
        reason="manual",
        source="test",
        at=timezone.now(),
    )


def suppress_on_the_platform(_world: World, person: Subscriber) -> None:
    suppress(
        organization=None,
        address_key=person.address_key,
        scope="all",
        reason="manual",
        source="test",
        at=timezone.now(),
    )


def bounce(world: World, person: Subscriber) -> None:
    suppress(
        organization=world.organization,
        address_key=person.address_key,
        scope="all",
        reason="hard_bounce",
        source="test",
        at=timezone.now(),
    )


def complain(world: World, person: Subscriber) -> None:
    suppress(
        organization=world.organization,
        address_key=person.address_key,
        scope="all",
        reason="complaint",
        source="test",
        at=timezone.now(),
    )


def erase(_world: World, person: Subscriber) -> None:
    Subscriber.objects.filter(pk=person.pk).delete()


def change_address(_world: World, person: Subscriber) -> None:
    Subscriber.objects.filter(pk=person.pk).update(email="new@example.com", address_key="new@example.com")


def fate(mailout: Mailout, person: Subscriber) -> tuple[int, int]:
    row: tuple[int, int] = Message.objects.values_list("state", "reason").get(
        mailout_id=mailout.pk, subscriber_id=person.pk
    )
    return row


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (leave_the_list, ExclusionReason.UNSUBSCRIBED),
        (leave_everything, ExclusionReason.UNSUBSCRIBED),
        (suppress_by_hand, ExclusionReason.SUPPRESSED),
        (suppress_marketing, ExclusionReason.SUPPRESSED),
        (suppress_for_the_list, ExclusionReason.SUPPRESSED),
        (suppress_on_the_platform, ExclusionReason.SUPPRESSED),
        (bounce, ExclusionReason.BOUNCED),
        (complain, ExclusionReason.COMPLAINED),
        (erase, ExclusionReason.ERASED),
        (change_address, ExclusionReason.ADDRESS_CHANGED),
    ],
)
def test_whoever_may_not_be_mailed_any_more_is_left_out_with_the_reason(
    world: World, raw: Connection, act: Act, reason: ExclusionReason
) -> None:
    ana, ben = world.add_person("ana"), world.add_person("ben")
    mailout = world.launch()

    act(world, ana)
    world.run()
    tick(raw, slots=2)

    assert world.provider.handed_over == {"ben@example.com": 1}
    assert fate(mailout, ana) == (MessageState.EXCLUDED, reason)
    assert fate(mailout, ben) == (MessageState.SENT, ExclusionReason.NONE)
    account = mailout_account(mailout)
    assert account.reasons == {reason: 1}
    progress = mailout_progress(mailout)
    assert (progress.candidates, progress.sent, progress.excluded, progress.waiting) == (2, 1, 1, 0)


def test_progress_counts_people_left_out_at_arming_before_the_mailout_has_finished(world: World) -> None:
    ana = world.add_person("ana")
    world.add_person("ben")
    world.add_person("cas", status=SubscriberStatus.BOUNCED)
    mailout = world.launch()
    leave_everything(world, ana)

    world.run()

    progress = mailout_progress(mailout)
    assert (progress.state, progress.sent, progress.excluded, progress.waiting) == ("sending", 1, 2, 0)


def test_who_left_one_of_two_chosen_lists_still_gets_it(world: World) -> None:
    second = world.add_list("Offers")
    ana = world.add_person("ana", world.list, second)
    mailout = world.launch(audience=Audience((world.list.pk, second.pk)))

    leave_the_list(world, ana)
    world.run()

    assert world.provider.handed_over == {"ana@example.com": 1}
    assert fate(mailout, ana) == (MessageState.SENT, ExclusionReason.NONE)


def test_who_left_both_chosen_lists_gets_nothing(world: World) -> None:
    second = world.add_list("Offers")
    ana = world.add_person("ana", world.list, second)
    mailout = world.launch(audience=Audience((world.list.pk, second.pk)))

    leave_the_list(world, ana)
    unsubscribe(subscriber=ana, list_id=second.pk, method="page", at=timezone.now())
    world.run()

    assert fate(mailout, ana) == (MessageState.EXCLUDED, ExclusionReason.UNSUBSCRIBED)


def test_a_suppression_of_another_list_or_organization_or_of_the_past_does_not_stop_anybody(world: World) -> None:

    second = world.add_list("Offers")
    ana = world.add_person("ana")
    mailout = world.launch()
    key = ana.address_key
    Suppression.objects.create(organization=world.organization, address_key=key, scope="list", list=second)
    Suppression.objects.create(organization=OrganizationFactory.create(), address_key=key)
    expired = timezone.now() - timedelta(minutes=1)
    Suppression.objects.create(organization=world.organization, address_key=key, expires_at=expired)
    Subscriber.objects.filter(pk=ana.pk).update(opted_out_at=timezone.now())  # so that the engine looks

    world.run()

    assert fate(mailout, ana) == (MessageState.SENT, ExclusionReason.NONE)


def test_who_came_back_before_arming_gets_it(world: World) -> None:
    ana = world.add_person("ana")
    mailout = world.launch()

    leave_everything(world, ana)
    resubscribe(subscriber=ana, list_id=world.list.pk, method="page", at=timezone.now())
    world.run()

    assert fate(mailout, ana) == (MessageState.SENT, ExclusionReason.NONE)


def test_who_joined_an_excluded_list_and_was_stamped_is_left_out(world: World) -> None:
    away = world.add_list("On holiday")
    ana = world.add_person("ana")
    mailout = world.launch(audience=Audience((world.list.pk,), (away.pk,)))

    SubscriptionFactory.create(subscriber=ana, list=away)
    Subscriber.objects.filter(pk=ana.pk).update(opted_out_at=timezone.now())
    world.run()

    assert fate(mailout, ana) == (MessageState.EXCLUDED, ExclusionReason.EXCLUDED_LIST)


def test_who_fell_back_to_pending_is_unconfirmed(world: World) -> None:
    ana = world.add_person("ana")
    mailout = world.launch()
    ana.subscriptions.update(state=SubscriptionState.PENDING)
    Subscriber.objects.filter(pk=ana.pk).update(opted_out_at=timezone.now())

    world.run()

    assert fate(mailout, ana) == (MessageState.EXCLUDED, ExclusionReason.UNCONFIRMED)


def test_only_people_stamped_within_a_day_before_freezing_or_after_are_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:

    looked_at: list[int] = []
    original = reading._second_look

    def look(connection: Connection, mailout_id: int, ids: list[int]) -> dict[int, int]:
        looked_at.extend(ids)
        return original(connection, mailout_id, ids)

    monkeypatch.setattr(reading, "_second_look", look)
    now = timezone.now()
    world.add_person("never")
    world.add_person("long-ago", opted_out_at=now - timedelta(days=1, minutes=1))
    lately = world.add_person("lately", opted_out_at=now - timedelta(hours=23))
    world.launch()

    world.run()

    assert looked_at == [lately.pk]
    assert len(world.provider.handed_over) == 3


def test_an_opt_out_of_long_ago_was_seen_by_the_launch_already(world: World) -> None:
    ana = world.add_person("ana")
    ben = world.add_person("ben")
    leave_everything(world, ana)
    Subscriber.objects.filter(pk=ana.pk).update(opted_out_at=timezone.now() - timedelta(days=400))

    mailout = world.launch()
    world.run()

    assert fate(mailout, ana) == (MessageState.EXCLUDED, ExclusionReason.UNSUBSCRIBED)
    assert fate(mailout, ben) == (MessageState.SENT, ExclusionReason.NONE)
    assert mailout.eligible == 1


@pytest.mark.usefixtures("patient")
def test_somebody_who_leaves_while_their_batch_is_under_way_is_still_caught(world: World) -> None:
    """The check is made for what is armed next, not once for a claimed batch."""
    world.add_people(1000)
    last = Subscriber.objects.order_by("-pk").first()
    assert last is not None
    mailout = world.launch(rate_limit=600.0)
    loop = world.loop()
    loop.run_slice(slots=2, seconds=0.6)
    assert 0 < mailout_progress(mailout).sent < 1000

    leave_everything(world, last)
    loop.run_slice(slots=2, seconds=5)
    loop.close()

    assert fate(mailout, last) == (MessageState.EXCLUDED, ExclusionReason.UNSUBSCRIBED)
    assert last.email not in world.provider.handed_over
    assert mailout_progress(mailout).sent == 999


def test_the_call_says_when_its_people_were_checked(world: World, raw: Connection) -> None:
    world.add_people(10)
    before = timezone.now()
    world.launch()

    world.run()

    row = raw.execute("SELECT checked_at, armed_at, settled_at FROM delivery_send_call").fetchone()
    assert row is not None
    assert before < row[0] < row[1] < row[2]
