from __future__ import annotations

import json
from typing import Protocol

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns.models import Campaign, Template
from campaigns.services.launching import launch_campaign
from campaigns.services.templates import create_template
from delivery.models import Mailout, MailoutState, SendingAccount
from organizations.models import Organization, User
from subscribers.models import List, Subscriber, SubscriberStatus
from tests.campaigns import world

STEPS = ("content", "audience", "sender", "checks", "when", "review")
PAGES = (*STEPS, "test", "dry_run_start", "left_out", "email")


def page(name: str, campaign: Campaign) -> str:
    return reverse(f"admin:campaign_{name}", args=[campaign.pk])


class HasContent(Protocol):
    content: bytes


def text(response: HasContent) -> str:
    return " ".join(response.content.decode().split())


def save(client: Client, campaign: Campaign, step: str, *, revision: int = 1, **fields: object) -> HttpResponse:
    data = {"revision": revision, "changed": list(fields), **fields}
    return client.post(page(step, campaign), data, headers={"X-Requested-With": "fetch"})  # type: ignore[return-value]


# ---- the list --------------------------------------------------------------------------------------------------


def test_the_list_shows_name_subject_and_state(bob_client: Client, campaign: Campaign) -> None:
    said = text(bob_client.get(reverse("admin:campaigns_campaign_changelist")))

    assert "Autumn letter" in said
    assert "Hello reader" in said  # not the Liquid
    assert "as-pill--draft" in said


def test_an_empty_organization_is_told_what_a_campaign_is(bob_client: Client) -> None:
    assert "No campaigns yet" in text(bob_client.get(reverse("admin:campaigns_campaign_changelist")))


def test_the_list_costs_the_same_whatever_it_holds(
    bob_client: Client,
    acme: Organization,
    account: SendingAccount,
    newsletter: List,
) -> None:
    def make(count: int) -> None:
        for _ in range(count):
            made = world.make_campaign(acme, account, newsletter)
            launch_campaign(campaign=made, revision=1, actor=None)

    url = reverse("admin:campaigns_campaign_changelist")
    make(2)
    bob_client.get(url)
    with CaptureQueriesContext(connection) as few:
        bob_client.get(url)
    make(8)
    with CaptureQueriesContext(connection) as many:
        bob_client.get(url)

    assert len(many) == len(few)
    assert not [query for query in many.captured_queries if 'delivery_message"' in query["sql"]]


def test_the_list_pages_by_key(bob_client: Client, acme: Organization) -> None:
    made = [Campaign.objects.create(organization=acme, name=f"Campaign {number:02}") for number in range(30)]
    url = reverse("admin:campaigns_campaign_changelist")

    first, second = text(bob_client.get(url)), text(bob_client.get(f"{url}?before={made[5].pk}"))

    assert "Campaign 29" in first
    assert "Campaign 04" not in first
    assert f"before={made[5].pk}" in first
    assert "Campaign 04" in second
    assert "Campaign 05" not in second


def test_searching_finds_name_and_subject_and_archived_ones(bob_client: Client, acme: Organization) -> None:
    Campaign.objects.create(organization=acme, name="Spring", subject="Tulips", is_archived=True)
    Campaign.objects.create(organization=acme, name="Summer", subject="Roses")
    url = reverse("admin:campaigns_campaign_changelist")

    assert "Spring" not in text(bob_client.get(url))
    found = text(bob_client.get(f"{url}?q=tulip"))
    assert "Spring" in found
    assert "Summer" not in found
    assert "Nothing is called “zzz”" in text(bob_client.get(f"{url}?q=zzz"))


def test_a_state_tab_shows_the_present_state_of_launched_ones(bob_client: Client, campaign: Campaign) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    Mailout.objects.filter(pk=mailout.pk).update(state=MailoutState.PAUSED)
    url = reverse("admin:campaigns_campaign_changelist")

    assert "Autumn letter" in text(bob_client.get(f"{url}?state=paused"))
    assert "Autumn letter" not in text(bob_client.get(f"{url}?state=sending"))


# ---- who may what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_another_organization_sees_no_page_of_a_campaign(mallory_client: Client, campaign: Campaign, name: str) -> None:
    assert mallory_client.get(page(name, campaign)).status_code == 404


@pytest.mark.parametrize("name", ["undo", "duplicate", "archive", "rename", "call_off", "control"])
def test_another_organization_can_press_no_button(mallory_client: Client, campaign: Campaign, name: str) -> None:
    assert mallory_client.post(page(name, campaign), {"act": "pause"}).status_code == 404

    assert Campaign.objects.get() == campaign


@pytest.mark.parametrize("name", [*STEPS, "left_out", "email"])
def test_an_analyst_reads_every_step(carol_client: Client, campaign: Campaign, name: str) -> None:
    assert carol_client.get(page(name, campaign)).status_code == 200


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("content", {"body": "x", "revision": 1}),
        ("audience", {"revision": 1}),
        ("sender", {"subject": "x", "revision": 1}),
        ("when", {"when": "now", "revision": 1}),
        ("review", {"typed": "5", "people": "5", "revision": "1"}),
        ("test", {"recipients": "a@acme.example"}),
        ("dry_run_start", {}),
        ("undo", {}),
        ("duplicate", {}),
        ("archive", {}),
        ("rename", {"name": "x"}),
        ("call_off", {}),
    ],
)
def test_an_analyst_changes_and_sends_nothing(
    carol_client: Client, campaign: Campaign, name: str, data: dict[str, object]
) -> None:
    assert carol_client.post(page(name, campaign), data).status_code == 403

    campaign.refresh_from_db()
    assert (campaign.revision, campaign.state, Campaign.objects.count()) == (1, "draft", 1)
    assert not Mailout.objects.exists()


def test_somebody_who_is_not_signed_in_is_sent_to_the_door(client: Client, campaign: Campaign) -> None:
    response = client.get(page("content", campaign))

    assert response.status_code == 302
    assert "/login/" in response.headers["Location"]


# ---- writing ---------------------------------------------------------------------------------------------------


def test_a_new_campaign_starts_with_the_starters(bob_client: Client, acme: Organization) -> None:
    assert "Letter" in text(bob_client.get(reverse("admin:campaign_new")))
    newsletter = Template.objects.get(name="Newsletter")

    response = bob_client.post(reverse("admin:campaign_new"), {"name": "Winter", "template_id": newsletter.pk})

    made = Campaign.objects.get()
    assert response.headers["Location"] == page("content", made)
    assert (made.name, made.template, made.organization) == ("Winter", newsletter, acme)


def test_a_new_campaign_cannot_take_another_organizations_template(bob_client: Client, other: Organization) -> None:
    theirs = create_template(organization=other, name="Theirs", html=world.FRAME)

    response = bob_client.post(reverse("admin:campaign_new"), {"name": "Winter", "template_id": theirs.pk})

    assert response.status_code == 422
    assert not Campaign.objects.exists()


def test_saving_by_itself_answers_with_the_new_revision(bob_client: Client, campaign: Campaign, bob: User) -> None:
    answer = json.loads(save(bob_client, campaign, "content", body="<p>New</p>").content)

    campaign.refresh_from_db()
    assert (campaign.body, campaign.revision, campaign.updated_by) == ("<p>New</p>", 2, bob)
    assert answer["revision"] == 2
    assert answer["saved"].startswith("Saved ")


def test_only_the_touched_fields_of_a_form_are_saved(bob_client: Client, campaign: Campaign) -> None:
    data = {"revision": 1, "changed": ["preheader"], "subject": "stale", "preheader": "Mine", "sender_name": "stale"}
    bob_client.post(page("sender", campaign), data, headers={"X-Requested-With": "fetch"})

    campaign.refresh_from_db()
    assert (campaign.subject, campaign.preheader) == ("Hello {{ first_name | default: 'reader' }}", "Mine")


def test_a_save_over_somebody_elses_says_who_and_what(
    bob_client: Client, alice_client: Client, campaign: Campaign
) -> None:
    save(alice_client, campaign, "sender", subject="Alice's")

    response = save(bob_client, campaign, "sender", subject="Bob's")

    assert response.status_code == 409
    assert json.loads(response.content) == {"message": "Alice changed the subject.", "revision": 2}


def test_without_script_a_form_saves_and_goes_on(bob_client: Client, campaign: Campaign) -> None:
    response = bob_client.post(page("content", campaign), {"revision": 1, "body": "<p>New</p>", "next": "1"})

    assert response.headers["Location"] == page("audience", campaign)
    campaign.refresh_from_db()
    assert campaign.body == "<p>New</p>"


def test_an_address_that_cannot_be_is_refused_with_a_sentence(bob_client: Client, campaign: Campaign) -> None:
    response = save(bob_client, campaign, "sender", sender_email="nobody")

    assert response.status_code == 422
    assert json.loads(response.content)["message"] == "“nobody” is not an email address."


def test_the_problems_stand_under_the_code_with_their_line(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(body="<p>One</p>\n<p>{{ fist_name }}</p>")

    said = text(bob_client.get(page("content", campaign)))

    assert 'data-line="2"' in said
    assert "fist_name" in said


def test_a_time_is_the_organizations(bob_client: Client, campaign: Campaign) -> None:
    response = save(bob_client, campaign, "when", when="at", day="2031-07-01", time="09:00")

    assert response.status_code == 200
    campaign.refresh_from_db()
    assert campaign.scheduled_at is not None
    assert campaign.scheduled_at.isoformat() == "2031-07-01T06:00:00+00:00"
    assert "09:00 in Riga, 06:00 in UTC" in text(bob_client.get(page("when", campaign)))


def test_a_skipped_hour_is_said_when_it_is_saved(bob_client: Client, campaign: Campaign) -> None:
    response = save(bob_client, campaign, "when", when="at", day="2031-03-30", time="03:30")

    assert json.loads(response.content)["notes"] == ["03:30 does not exist on 30 March; it will be 04:30."]


def test_only_own_lists_can_be_chosen(bob_client: Client, campaign: Campaign, other: Organization) -> None:
    theirs = world.make_list(other, "Theirs", people=1)

    response = save(bob_client, campaign, "audience", list_ids=[theirs.pk])

    assert response.status_code == 422
    assert campaign.lists.get().name == "Newsletter"


def test_the_audience_page_counts_and_names_every_exclusion(
    bob_client: Client, campaign: Campaign, newsletter: List
) -> None:
    Subscriber.objects.filter(email="newsletter1@example.com").update(status=SubscriberStatus.BOUNCED)

    said = text(bob_client.get(page("audience", campaign)))

    assert "4 people will get it." in said
    assert "Bounced before" in said
    assert "newsletter2@example.com" in said
    left_out = text(bob_client.get(f"{page('left_out', campaign)}?reason=2"))
    assert "newsletter1@example.com" in left_out
    assert "newsletter2@example.com" not in left_out


def test_undo_takes_the_last_save_back(bob_client: Client, campaign: Campaign) -> None:
    save(bob_client, campaign, "sender", subject="New")

    bob_client.post(page("undo", campaign), {"step": "sender"})

    campaign.refresh_from_db()
    assert campaign.subject == "Hello {{ first_name | default: 'reader' }}"


# ---- preview ---------------------------------------------------------------------------------------------------


def test_the_preview_shows_a_subscriber_under_a_policy_of_its_own(bob_client: Client, campaign: Campaign) -> None:
    person = Subscriber.objects.get(email="newsletter3@example.com")

    response = bob_client.get(f"{page('email', campaign)}?as={person.pk}")

    assert "Hello Reader3," in response.content.decode()
    assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_a_preview_does_not_ask_for_the_pixel(bob_client: Client, campaign: Campaign) -> None:
    said = bob_client.get(page("email", campaign)).content.decode()

    assert "/o/preview" not in said
    assert 'src="data:image/gif;base64,' in said


def test_nobody_previews_as_another_organizations_subscriber(
    bob_client: Client, campaign: Campaign, other: Organization
) -> None:
    theirs = world.make_list(other, "Theirs", people=1).subscriptions.get().subscriber

    assert bob_client.get(f"{page('email', campaign)}?as={theirs.pk}").status_code == 404


def test_the_dark_preview_shows_the_dark_styles_to_everybody(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(
        body="<style>@media (prefers-color-scheme: dark) { p { color: #eeeeee } }</style><p>Hi</p>"
    )

    dark = bob_client.get(f"{page('email', campaign)}?theme=dark").content.decode()
    light = bob_client.get(f"{page('email', campaign)}?theme=light").content.decode()

    assert "@media (min-width: 0px)" in dark
    assert "@media (max-width: 0px)" in light


def test_a_preview_of_broken_content_says_what_is_wrong(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(body="{% if first_name %}never closed")

    assert "&lt;" not in bob_client.get(page("email", campaign)).content.decode()
    assert bob_client.get(page("email", campaign)).status_code == 200


def test_the_text_part_can_be_looked_at(bob_client: Client, campaign: Campaign) -> None:
    said = bob_client.get(f"{page('email', campaign)}?part=text").content.decode()

    assert "Hello Maria, look: http://testserver/c/preview/1" in said
