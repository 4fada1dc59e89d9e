from __future__ import annotations

from datetime import timedelta
from unittest.mock import Mock

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from delivery.models import DeliveryEvent, EventType, Message
from delivery.services.events import process_inbox
from delivery.tokens import manage_token, track_token
from organizations.models import Organization
from subscribers.models import ConsentRecord, List, Subscriber, SubscriberStatus, Subscription
from tests.delivery.events.mailouts import add_message, make_subscriber
from tests.delivery.reader.conftest import Letter

pytestmark = pytest.mark.django_db

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def state(letter: Letter) -> str:
    return Subscription.objects.get(list=letter.newsletter, subscriber=letter.ana).state


def provider() -> Client:
    """A mail provider: no cookies, no CSRF token, no referrer."""
    return Client(enforce_csrf_checks=True)


def test_a_get_shows_one_button_and_changes_nothing(letter: Letter) -> None:
    for _ in range(3):
        response = Client().get(letter.unsubscribe_path)

    page = response.content.decode()
    assert "m•••a@example.com" in page
    assert "maria@example.com" not in page
    assert "Stop “Newsletter”?" in page
    assert page.count('<button class="go"') == 1
    assert "<script" not in page
    assert not response.cookies
    assert response["Referrer-Policy"] == "no-referrer"
    assert state(letter) == "subscribed"
    assert ConsentRecord.objects.count() == 0


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
def test_a_one_click_post_unsubscribes_without_cookie_redirect_or_token(letter: Letter, encoding: str) -> None:
    if encoding == "multipart":
        response = provider().post(letter.unsubscribe_path, ONE_CLICK)
    else:
        response = provider().post(
            letter.unsubscribe_path,
            "List-Unsubscribe=One-Click",
            content_type="application/x-www-form-urlencoded",
            REMOTE_ADDR="198.51.100.77",
        )

    assert (response.status_code, response.content) == (200, b"Unsubscribed.\n")
    assert not response.cookies
    assert state(letter) == "unsubscribed"
    record = ConsentRecord.objects.get()
    assert (record.method, record.list_id, record.mailout_id, record.message_n) == (
        "one_click",
        letter.newsletter.pk,
        letter.mailout.pk,
        1,
    )
    letter.ana.refresh_from_db()
    assert letter.ana.opted_out_at is not None
    assert letter.ana.status == SubscriberStatus.ACTIVE


def test_a_repeated_one_click_post_is_answered_alike_and_recorded_once(letter: Letter) -> None:
    answers = [provider().post(letter.unsubscribe_path, ONE_CLICK).status_code for _ in range(3)]
    process_inbox()

    assert answers == [200, 200, 200]
    assert ConsentRecord.objects.count() == 1
    assert DeliveryEvent.objects.filter(type=EventType.UNSUBSCRIBED).count() == 1
    assert Message.objects.get().unsubscribed_at is not None


@pytest.mark.parametrize("path", ["/u/{bad}", "/u/x", "/u/{other}"])
def test_a_wrong_token_changes_nothing_and_tells_nothing(letter: Letter, path: str) -> None:
    bad = letter.manage[:-2] + ("AA" if letter.manage[-2:] != "AA" else "BB")
    stranger = manage_token(letter.ana.pk + 1, letter.newsletter.pk)[:20] + letter.manage[20:]

    response = provider().post(path.format(bad=bad, other=stranger), ONE_CLICK)

    assert response.status_code == 404
    assert response.content == Client().post("/u/whatever").content
    assert state(letter) == "subscribed"


def test_a_track_token_opens_no_preferences(letter: Letter) -> None:
    assert provider().post(f"/u/{letter.track}", ONE_CLICK).status_code == 404
    assert Client().get(f"/p/{letter.track}").status_code == 404


def test_a_link_still_works_after_three_years_and_shows_the_present(letter: Letter) -> None:
    provider().post(letter.unsubscribe_path, ONE_CLICK)
    with time_machine.travel(timezone.now() + timedelta(days=1100), tick=False):
        assert Client().get(f"/u/{letter.manage}").status_code == 200
        assert provider().post(f"/u/{letter.manage}", ONE_CLICK).status_code == 200
        page = Client().get(f"/p/{letter.manage}").content.decode()

    assert "checked" not in page


def test_leaving_one_list_leaves_the_others(letter: Letter, acme: Organization) -> None:
    other = List.objects.create(organization=acme, name="Other")
    Subscription.objects.create(organization=acme, list=other, subscriber=letter.ana)

    Client().post(f"/u/{letter.manage}")

    assert Subscription.objects.get(list=other).state == "subscribed"


def test_the_button_for_everything_leaves_everything(letter: Letter, acme: Organization) -> None:
    other = List.objects.create(organization=acme, name="Other")
    Subscription.objects.create(organization=acme, list=other, subscriber=letter.ana)

    page = Client().post(f"/u/{letter.manage}", {"everything": "1"}).content.decode()

    assert "Done. No more letters." in page
    letter.ana.refresh_from_db()
    assert letter.ana.status == SubscriberStatus.UNSUBSCRIBED
    assert set(Subscription.objects.values_list("state", flat=True)) == {"unsubscribed"}


@pytest.mark.parametrize("list_id", [0, 999_999])
def test_a_token_without_a_list_or_with_a_deleted_one_stops_everything(letter: Letter, list_id: int) -> None:
    path = f"/u/{manage_token(letter.ana.pk, list_id)}"
    assert "Stop all letters?" in Client().get(path).content.decode()

    provider().post(path, ONE_CLICK)

    letter.ana.refresh_from_db()
    assert letter.ana.status == SubscriberStatus.UNSUBSCRIBED


def test_a_list_of_another_organization_in_a_token_is_not_touched(letter: Letter, other: Organization) -> None:
    foreign = List.objects.create(organization=other, name="Theirs")
    theirs = make_subscriber(other, "maria@example.com")
    Subscription.objects.create(organization=other, list=foreign, subscriber=theirs)

    provider().post(f"/u/{manage_token(letter.ana.pk, foreign.pk)}", ONE_CLICK)

    assert Subscription.objects.get(list=foreign).state == "subscribed"


def test_leaving_by_the_link_in_the_text_counts_for_the_last_letter(letter: Letter) -> None:
    Client().post(f"/u/{letter.manage}")
    process_inbox()

    assert ConsentRecord.objects.get().mailout_id == letter.mailout.pk
    assert Message.objects.get().unsubscribed_at is not None


def test_another_persons_message_is_not_blamed(letter: Letter, acme: Organization) -> None:
    ben = make_subscriber(acme, "ben@example.com")
    add_message(letter.mailout, 2, ben)

    provider().post(f"/u/{letter.manage}?m={track_token(letter.mailout.pk, 2)}", ONE_CLICK)
    process_inbox()

    assert ConsentRecord.objects.get().mailout_id is None
    assert DeliveryEvent.objects.count() == 0


def test_an_erased_person_gets_a_page_and_a_200(letter: Letter) -> None:
    letter.ana.delete()

    assert "You get nothing from us." in Client().get(f"/u/{letter.manage}").content.decode()
    assert provider().post(f"/u/{letter.manage}", ONE_CLICK).status_code == 200
    assert Client().get(f"/p/{letter.manage}").status_code == 200
    assert Client().post(f"/p/{letter.manage}", {"list": "1"}).status_code == 200


def test_the_done_page_takes_a_reason_once(letter: Letter) -> None:
    page = Client().post(f"/u/{letter.manage}").content.decode()
    assert "Would you tell us why?" in page

    Client().post(f"/u/{letter.manage}", {"why": "often"})
    Client().post(f"/u/{letter.manage}", {"why": "never"})
    Client().post(f"/u/{letter.manage}", {"why": "<script>"})

    assert list(ConsentRecord.objects.order_by("id").values_list("action", "reason")) == [
        ("opt_out", ""),
        ("opt_out", "often"),
    ]


def test_it_was_a_mistake(letter: Letter) -> None:
    Client().post(f"/u/{letter.manage}")

    page = Client().post(f"/u/{letter.manage}", {"back": "1"}).content.decode()

    assert state(letter) == "subscribed"
    assert "Saved." in page
    assert ConsentRecord.objects.latest("id").action == "opt_in"


def test_who_complained_cannot_come_back_here(letter: Letter) -> None:
    Subscriber.objects.filter(pk=letter.ana.pk).update(status=SubscriberStatus.COMPLAINED)

    page = Client().post(f"/u/{letter.manage}", {"back": "1"}).content.decode()
    again = Client().post(f"/p/{letter.manage}", {"list": str(letter.newsletter.pk)}).content.decode()

    assert "marked our mail as spam" in page
    assert "marked our mail as spam" in again
    letter.ana.refresh_from_db()
    assert letter.ana.status == SubscriberStatus.COMPLAINED


def test_preferences_show_public_lists_and_those_one_is_on(letter: Letter, acme: Organization) -> None:
    List.objects.create(organization=acme, name="Open")
    List.objects.create(organization=acme, name="Secret", is_public=False)
    members = List.objects.create(organization=acme, name="Members", is_public=False)
    Subscription.objects.create(organization=acme, list=members, subscriber=letter.ana)

    page = Client().get(f"/p/{letter.manage}").content.decode()

    assert [name for name in ("Newsletter", "Open", "Members", "Secret") if f"<b>{name}</b>" in page] == [
        "Newsletter",
        "Open",
        "Members",
    ]
    assert page.count(" checked") == 2


def test_saving_preferences_joins_and_leaves(letter: Letter, acme: Organization) -> None:
    public = List.objects.create(organization=acme, name="Open")
    secret = List.objects.create(organization=acme, name="Secret", is_public=False)
    members = List.objects.create(organization=acme, name="Members", is_public=False)
    Subscription.objects.create(organization=acme, list=members, subscriber=letter.ana)

    response = Client().post(f"/p/{letter.manage}", {"list": [str(public.pk), str(secret.pk), "junk", "9" * 30]})

    assert "Saved." in response.content.decode()
    states = dict(Subscription.objects.values_list("list__name", "state"))
    assert states == {"Newsletter": "unsubscribed", "Open": "subscribed", "Members": "unsubscribed"}
    assert ConsentRecord.objects.filter(action="opt_out").count() == 2


def test_choosing_a_list_brings_back_who_had_left_everything(letter: Letter) -> None:
    Client().post(f"/u/{letter.manage}", {"everything": "1"})
    assert "At present you get nothing at all." in Client().get(f"/p/{letter.manage}").content.decode()

    Client().post(f"/p/{letter.manage}", {"list": str(letter.newsletter.pk)})

    letter.ana.refresh_from_db()
    assert letter.ana.status == SubscriberStatus.ACTIVE
    assert state(letter) == "subscribed"


def test_the_page_speaks_the_readers_language(letter: Letter, acme: Organization) -> None:
    Subscriber.objects.filter(pk=letter.ana.pk).update(locale="ru-RU")
    assert 'lang="ru"' in Client().get(f"/u/{letter.manage}").content.decode()[:60]
    assert 'lang="en"' in Client().get(f"/u/{letter.manage}?lang=en").content.decode()[:60]

    Subscriber.objects.filter(pk=letter.ana.pk).update(locale="fi")
    Organization.objects.filter(pk=acme.pk).update(locale="ru")
    assert 'lang="ru"' in Client().get(f"/p/{letter.manage}?lang=xx").content.decode()[:60]


def test_names_are_escaped(letter: Letter) -> None:
    List.objects.filter(pk=letter.newsletter.pk).update(name="<img src=x onerror=alert(1)>")
    Subscriber.objects.filter(pk=letter.ana.pk).update(email='"><svg/onload=1>@example.com')

    for path in (f"/u/{letter.manage}", f"/p/{letter.manage}"):
        page = Client().get(path).content.decode()
        assert "<img src=x" not in page
        assert "<svg" not in page


def test_who_left_everything_by_mistake_gets_those_lists_back(letter: Letter) -> None:
    Client().post(f"/u/{letter.manage}", {"everything": "1"})

    page = Client().post(f"/u/{letter.manage}", {"back": "1", "everything": "1"}).content.decode()

    letter.ana.refresh_from_db()
    assert (letter.ana.status, state(letter)) == (SubscriberStatus.ACTIVE, "subscribed")
    assert " checked" in page


def test_coming_back_of_an_erased_person_is_a_page(letter: Letter) -> None:
    letter.ana.delete()

    assert Client().post(f"/u/{letter.manage}", {"back": "1"}).status_code == 200
    assert Client().post(f"/u/{letter.manage}", {"why": "often"}).status_code == 200


def test_saving_without_a_change_wakes_nobody(letter: Letter) -> None:
    Client().post(f"/p/{letter.manage}", {"list": str(letter.newsletter.pk)})

    assert ConsentRecord.objects.count() == 0


def test_a_report_that_cannot_be_noted_keeps_nobody_on_the_list(
    letter: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.services.leaving.store_reader_act", Mock(side_effect=OperationalError("down")))

    assert provider().post(letter.unsubscribe_path, ONE_CLICK).status_code == 200
    assert state(letter) == "unsubscribed"
