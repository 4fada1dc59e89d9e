from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import Organization
from subscribers.models import ConsentRecord, List, Subscriber, SubscriberStatus, Subscription, Suppression
from subscribers.services.consent import resubscribe, set_preferences, subscribe, unsubscribe
from subscribers.services.lists import create_list
from subscribers.services.suppressing import suppress

pytestmark = pytest.mark.django_db
NOW = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)


@pytest.fixture
def offers(acme: Organization) -> List:
    return create_list(organization=acme, name="Offers")


@pytest.fixture
def on_both(ana: Subscriber, news: List, offers: List) -> Subscriber:
    for one in (news, offers):
        subscribe(subscriber=ana, list_id=one.pk, method="form", at=NOW, source="site", text="Yes, please")
    return ana


def states(person: Subscriber) -> dict[str, str]:
    return dict(Subscription.objects.filter(subscriber=person).values_list("list__name", "state"))


def records(person: Subscriber) -> list[tuple[str, str, str | None]]:
    rows = ConsentRecord.objects.filter(subscriber=person).order_by("id")
    return list(rows.values_list("action", "method", "list__name"))


def test_subscribing_keeps_when_how_from_where_and_which_text(ana: Subscriber, news: List) -> None:
    changed = subscribe(
        subscriber=ana, list_id=news.pk, method="form", at=NOW, ip="192.0.2.0", user_agent="UA", source="s", text="t"
    )

    assert changed is True
    record = ConsentRecord.objects.get()
    assert (record.action, record.method, record.at, record.list_id) == ("opt_in", "form", NOW, news.pk)
    assert (record.ip, record.user_agent, record.source, record.text) == ("192.0.2.0", "UA", "s", "t")
    assert subscribe(subscriber=ana, list_id=news.pk, method="form", at=NOW) is False
    assert ConsentRecord.objects.count() == 1


def test_leaving_one_list_leaves_the_others_alone_and_stamps_the_person(on_both: Subscriber) -> None:
    before = timezone.now()
    news_id = List.objects.get(name="News").pk

    assert unsubscribe(
        subscriber=on_both, list_id=news_id, method="one_click", at=NOW, reason="too many", mailout_id=7, n=3
    )

    on_both.refresh_from_db()
    assert states(on_both) == {"News": "unsubscribed", "Offers": "subscribed"}
    assert on_both.status == SubscriberStatus.ACTIVE
    assert on_both.opted_out_at is not None
    assert on_both.opted_out_at >= before  # the present, whatever the act's own time
    last = ConsentRecord.objects.latest("id")
    assert (last.action, last.method, last.reason, last.mailout_id, last.message_n) == (
        "opt_out",
        "one_click",
        "too many",
        7,
        3,
    )


def test_a_repeated_one_click_is_recorded_once(on_both: Subscriber) -> None:
    for _time in range(3):
        unsubscribe(subscriber=on_both, list_id=None, method="one_click", at=timezone.now())

    assert [row for row in records(on_both) if row[0] == "opt_out"] == [("opt_out", "one_click", None)]


def test_leaving_everything_and_taking_it_back_restores_exactly_what_was(on_both: Subscriber, news: List) -> None:
    unsubscribe(subscriber=on_both, list_id=news.pk, method="page", at=NOW)
    unsubscribe(subscriber=on_both, list_id=None, method="one_click", at=NOW + datetime.timedelta(days=1))
    on_both.refresh_from_db()
    assert (on_both.status, set(states(on_both).values())) == (SubscriberStatus.UNSUBSCRIBED, {"unsubscribed"})

    assert resubscribe(subscriber=on_both, list_id=None, method="page", at=NOW + datetime.timedelta(days=2))

    on_both.refresh_from_db()
    assert on_both.status == SubscriberStatus.ACTIVE
    assert states(on_both) == {"News": "unsubscribed", "Offers": "subscribed"}


def test_coming_back_lifts_an_opt_out_from_before_we_knew_the_person(
    acme: Organization, ana: Subscriber, news: List
) -> None:
    suppress(organization=acme, address_key=ana.address_key, scope="marketing", reason="unsubscribe", source="", at=NOW)
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.UNSUBSCRIBED

    resubscribe(subscriber=ana, list_id=news.pk, method="form", at=NOW)

    ana.refresh_from_db()
    assert (ana.status, Suppression.objects.count(), states(ana)) == ("active", 0, {"News": "subscribed"})


@pytest.mark.parametrize("reason", ["complaint", "hard_bounce"])
def test_nobody_who_complained_or_bounced_comes_back_by_a_page(
    acme: Organization, on_both: Subscriber, news: List, reason: str
) -> None:
    unsubscribe(subscriber=on_both, list_id=news.pk, method="page", at=NOW)
    suppress(organization=acme, address_key=on_both.address_key, scope="all", reason=reason, source="", at=NOW)
    before = records(on_both)

    with pytest.raises(Conflict):
        resubscribe(subscriber=on_both, list_id=news.pk, method="page", at=NOW)
    with pytest.raises(Conflict):
        set_preferences(subscriber=on_both, list_ids=[news.pk], method="page", at=NOW)

    assert states(on_both)["News"] == "unsubscribed"
    assert records(on_both) == before


def test_preferences_decide_about_public_lists_only(
    acme: Organization, on_both: Subscriber, news: List, offers: List
) -> None:
    secret = create_list(organization=acme, name="Secret", is_public=False)
    extra = create_list(organization=acme, name="Extra")
    subscribe(subscriber=on_both, list_id=secret.pk, method="admin", at=NOW)

    assert set_preferences(subscriber=on_both, list_ids=[offers.pk, extra.pk], method="page", at=NOW)

    assert states(on_both) == {
        "News": "unsubscribed",
        "Offers": "subscribed",
        "Secret": "subscribed",
        "Extra": "subscribed",
    }
    assert records(on_both)[-2:] == [("opt_out", "page", "News"), ("opt_in", "page", "Extra")]
    assert set_preferences(subscriber=on_both, list_ids=[offers.pk, extra.pk], method="page", at=NOW) is False
    with pytest.raises(InvalidInput):
        set_preferences(subscriber=on_both, list_ids=[secret.pk], method="page", at=NOW)


def test_choosing_a_list_brings_back_somebody_who_had_left_everything(on_both: Subscriber, news: List) -> None:
    unsubscribe(subscriber=on_both, list_id=None, method="one_click", at=NOW)

    set_preferences(subscriber=on_both, list_ids=[news.pk], method="page", at=NOW)

    on_both.refresh_from_db()
    assert (on_both.status, states(on_both)) == ("active", {"News": "subscribed", "Offers": "unsubscribed"})


def test_a_list_of_another_organization_does_not_exist(ana: Subscriber, other: Organization) -> None:
    theirs = create_list(organization=other, name="Theirs")

    for act in (subscribe, unsubscribe, resubscribe):
        with pytest.raises(InvalidInput):
            act(subscriber=ana, list_id=theirs.pk, method="page", at=NOW)

    assert Subscription.objects.count() == ConsentRecord.objects.count() == 0
