"""Counting an audience before a launch says exactly what the launch will do."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.utils import timezone

from delivery.models import ExclusionReason, Mailout, Message
from delivery.selectors.audience import Audience, AudienceCount, count_audience, list_audience
from delivery.selectors.progress import mailout_account
from delivery.services.launching import NothingToSend
from subscribers.models import List, SubscriberStatus, SubscriptionState
from tests.delivery.engine.world import World
from tests.factories import SubscriptionFactory, SuppressionFactory

Reason = ExclusionReason


def test_no_lists_are_nobody(world: World) -> None:
    world.add_people(3)

    assert count_audience(organization=world.organization, audience=Audience(())) == AudienceCount()
    assert list_audience(organization=world.organization, audience=Audience(())) == []


def test_an_audience_is_counted_by_reason_and_duplicates_are_named(world: World) -> None:
    second = world.add_list("Second")
    world.add_person("one")
    world.add_person("both", world.list, second)
    world.add_person("left-both", world.list, second, state=SubscriptionState.UNSUBSCRIBED)
    world.add_person("bounced", second, status="bounced")
    world.add_person("pending", second, state=SubscriptionState.PENDING, is_sample=True)
    organization = world.organization

    both = count_audience(organization=organization, audience=Audience((world.list.pk, second.pk)))
    one = count_audience(organization=organization, audience=Audience((second.pk,)))

    assert both == AudienceCount(
        candidates=5,
        eligible=2,
        by_reason={Reason.BOUNCED: 1, Reason.UNSUBSCRIBED: 1, Reason.UNCONFIRMED: 1},
        duplicates=2,
        has_sample_people=False,
    )
    assert (one.candidates, one.eligible, one.duplicates) == (4, 1, 0)
    assert list(both.by_reason) == sorted(both.by_reason)


def test_sample_people_who_would_get_it_are_noticed(world: World) -> None:
    world.add_person("sample", is_sample=True)

    assert count_audience(organization=world.organization, audience=Audience((world.list.pk,))).has_sample_people


def test_people_of_one_fate_are_listed_page_by_page(world: World) -> None:
    people = world.add_people(5)
    world.add_people(2, start=50, status="bounced", last_name="Last")
    audience = Audience((world.list.pk,))

    first = list_audience(organization=world.organization, audience=audience, limit=3)
    second = list_audience(organization=world.organization, audience=audience, limit=3, after=first[-1].subscriber_id)
    bounced = list_audience(organization=world.organization, audience=audience, reason=Reason.BOUNCED)

    assert [person.subscriber_id for person in first + second] == [person.pk for person in people]
    assert (first[0].email, first[0].name, first[0].reason) == ("p0@example.com", "Name 0", Reason.NONE)
    assert [(person.name, person.reason) for person in bounced] == [
        ("Name 50 Last", Reason.BOUNCED),
        ("Name 51 Last", Reason.BOUNCED),
    ]


def _random_standings(world: World, chance: random.Random) -> list[List]:
    lists = [world.list, *(world.add_list(f"List {number}") for number in range(3))]
    now = timezone.now()
    for number in range(30):
        status = chance.choice(list(SubscriberStatus)) if chance.random() < 0.4 else SubscriberStatus.ACTIVE
        chosen = chance.sample(lists, chance.randint(1, 4))
        person = world.add_person(f"p{number}", chosen[0], status=status, state=chance.choice(list(SubscriptionState)))
        for other in chosen[1:]:
            SubscriptionFactory.create(subscriber=person, list=other, state=chance.choice(list(SubscriptionState)))
        if chance.random() < 0.3:
            scope = chance.choice(["all", "marketing", "list"])
            SuppressionFactory.create(
                organization=None if scope == "all" and chance.random() < 0.5 else world.organization,
                address_key=person.address_key,
                scope=scope,
                list=chance.choice(lists) if scope == "list" else None,
                expires_at=chance.choice([None, now - timedelta(hours=1), now + timedelta(hours=1)]),
            )
    return lists


@pytest.mark.parametrize("seed", range(8))
def test_the_count_before_is_the_launch_s_outcome_whatever_people_s_standings(world: World, seed: int) -> None:
    chance = random.Random(seed)
    lists = _random_standings(world, chance)
    for attempt in range(3):
        ids = [one.pk for one in chance.sample(lists, 4)]
        chosen = chance.randint(1, 3)
        audience = Audience(tuple(ids[:chosen]), tuple(ids[chosen : chance.randint(chosen, 4)]))
        count = count_audience(organization=world.organization, audience=audience)
        try:
            mailout = world.launch(f"campaign:{attempt}", audience=audience)
        except NothingToSend:
            assert count.candidates == 0
            continue

        account = mailout_account(mailout)
        assert (mailout.candidates, mailout.eligible) == (count.candidates, count.eligible)
        assert account.candidates == count.candidates == count.eligible + sum(count.by_reason.values())
        assert account.states["queued"] == count.eligible
        assert account.reasons == count.by_reason
        _check_lists(world, audience, mailout, count)


def _check_lists(world: World, audience: Audience, mailout: Mailout, count: AudienceCount) -> None:
    """Each list of people of one fate names exactly those whom the launch gave that fate."""
    for reason in [Reason.NONE, *count.by_reason]:
        listed = list_audience(organization=world.organization, audience=audience, reason=reason, limit=1000)
        launched = Message.objects.filter(mailout_id=mailout.pk, reason=reason)
        assert [person.subscriber_id for person in listed] == sorted(launched.values_list("subscriber_id", flat=True))
