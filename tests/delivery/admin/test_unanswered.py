from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.services.launching import launch_campaign
from delivery.models import DeliveryEvent, EventType, Mailout, Message, MessageBatch, MessageState
from delivery.timeline import mail_of
from organizations.models import AuditEntry, Organization, User
from subscribers.models import Subscriber
from tests.campaigns import world
from tests.campaigns.test_pages import text


@pytest.fixture
def mailout(acme: Organization, alice: User) -> Mailout:
    """Finished; the first two of three people are without an answer, and their call is forgotten."""
    account = world.make_account(acme)
    campaign = world.make_campaign(acme, account, world.make_list(acme, "Newsletter", people=3))
    mailout = launch_campaign(campaign=campaign, revision=1, actor=alice)
    Message.objects.filter(mailout_id=mailout.pk).update(state=MessageState.SENT, provider_id="x")
    Message.objects.filter(mailout_id=mailout.pk, n__lte=2).update(
        state=MessageState.UNKNOWN, provider_id=None, error="answer_lost: ReadTimeout"
    )
    MessageBatch.objects.update(state=2, armed_to=4, sent=1, unknown=2)
    Mailout.objects.filter(pk=mailout.pk).update(state="finished", finished_at=timezone.now() - timedelta(days=9))
    mailout.refresh_from_db()
    return mailout


def url(mailout: Mailout) -> str:
    return reverse("admin:mailout_unanswered", args=[mailout.pk])


def press(client: Client, mailout: Mailout) -> Any:
    assert mailout.finished_at is not None
    return client.post(url(mailout), {"finished_at": mailout.finished_at.isoformat()})


def said_after(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_an_owner_sees_what_is_known_and_sends_again_once(alice_client: Client, alice: User, mailout: Mailout) -> None:
    said = text(alice_client.get(url(mailout)))
    assert "2 people: no answer from the provider." in said
    assert "The connection broke before the answer came." in said
    assert "answer_lost: ReadTimeout" in said
    assert "its silence says nothing" in said
    assert "Send it again to 2 people?" in said

    first, second = press(alice_client, mailout), press(alice_client, mailout)

    assert first.headers["Location"] == url(mailout)
    assert said_after(first) == ["2 people are tried again."]
    assert said_after(second)[-1] == "This sending is still under way. Decide when it is over."
    assert AuditEntry.objects.get(action="mailout.sent_again").actor == alice
    assert list(MessageBatch.objects.filter(attempt=1).values_list("members", flat=True)) == [[1, 2]]
    said = text(alice_client.get(url(mailout)))
    assert "Those who were are being tried again now." in said
    assert "to 2 people without an answer: Alice" in said


@pytest.mark.parametrize("who", ["bob_client", "carol_client"])
def test_a_marketer_and_an_analyst_see_it_and_may_not_decide(
    who: str, mailout: Mailout, request: pytest.FixtureRequest
) -> None:
    client: Client = request.getfixturevalue(who)

    said = text(client.get(url(mailout)))

    assert "Deciding takes the role of owner or admin." in said
    assert "finished_at" not in said
    assert press(client, mailout).status_code == 403
    assert not MessageBatch.objects.filter(attempt=1).exists()
    assert Mailout.objects.get().state == "finished"


def test_another_organization_finds_nothing(mallory_client: Client, mailout: Mailout) -> None:
    assert mallory_client.get(url(mailout)).status_code == 404
    assert press(mallory_client, mailout).status_code == 404
    assert not MessageBatch.objects.filter(attempt=1).exists()


@pytest.mark.parametrize(
    "shown", ["", "yesterday", "2026-02-31T10:00:00+00:00", "2026-11-03T10:00:00", "2026-11-03T10:00:00Z"]
)
def test_a_form_that_is_about_another_end_decides_nothing(alice_client: Client, mailout: Mailout, shown: str) -> None:
    response = alice_client.post(url(mailout), {"finished_at": shown})

    assert said_after(response) == ["Somebody else has decided meanwhile. Look again."]
    assert Mailout.objects.get().state == "finished"
    assert not AuditEntry.objects.filter(action="mailout.sent_again").exists()


def test_what_stands_in_the_way_is_said_in_place_of_the_button(alice_client: Client, mailout: Mailout) -> None:
    Mailout.objects.update(state="cancelled")

    said = text(alice_client.get(url(mailout)))

    assert "This sending was stopped for good: nothing more of it leaves." in said
    assert "Send again" not in said


def test_with_everybody_answered_the_page_says_so(alice_client: Client, mailout: Mailout) -> None:
    Message.objects.update(state=MessageState.SENT)

    assert "The provider answered about everybody." in text(alice_client.get(url(mailout)))


def test_the_list_leads_there_and_the_message_tells_both_attempts(alice_client: Client, mailout: Mailout) -> None:
    listed = text(alice_client.get(reverse("admin:mailout_messages", args=[mailout.pk]) + "?state=unknown"))
    assert url(mailout) in listed
    assert "The connection broke before the answer came." in listed
    one = reverse("admin:message", args=[mailout.pk, 1])
    assert "The provider has not mentioned it since." in text(alice_client.get(one))

    press(alice_client, mailout)
    DeliveryEvent.objects.filter(type=EventType.SENT_AGAIN, n=1).update(
        detail={"said": "answer_lost: x", "call": "c-1", "handed_over_at": "2026-11-03T10:00:00+00:00"}
    )

    said = text(alice_client.get(one))
    assert "Somebody decided so: no answer had come." in said
    assert "The connection broke before the answer came. Handed over in call c-1." in said
    assert "Sent again" in text(alice_client.get(reverse("admin:message", args=[mailout.pk, 2])))


def test_the_export_says_it_in_words(alice_client: Client, mailout: Mailout) -> None:
    response = alice_client.get(reverse("admin:mailout_export", args=[mailout.pk]))

    lines = response.getvalue().decode("utf-8-sig").splitlines()
    assert "newsletter1@example.com,unknown: no answer from the provider,answer_lost: ReadTimeout,," in lines


def test_a_persons_page_says_that_no_answer_came(mailout: Mailout) -> None:
    person = Subscriber.objects.get(pk=Message.objects.get(n=1).subscriber_id)

    (line,) = mail_of(person, 10)

    assert (line.at, line.what, line.detail, line.tone) == (
        mailout.frozen_at,
        "No answer from the provider",
        "Autumn letter",
        "warn",
    )
    assert line.link == reverse("admin:message", args=[mailout.pk, 1])
