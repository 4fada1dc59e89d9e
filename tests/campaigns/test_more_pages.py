from __future__ import annotations

import datetime
from typing import Protocol

import pytest
from django.contrib.messages import get_messages
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.models import Campaign, CampaignState, Template
from campaigns.services.launching import launch_campaign
from delivery.models import (
    AccountPace,
    EventType,
    Mailout,
    MailoutState,
    Message,
    MessageState,
    ParkReason,
    StatEmail,
    StateReason,
    StatLink,
)
from organizations.models import Organization, User
from tests.campaigns import world
from tests.campaigns.test_pages import page, text
from tests.campaigns.test_sending_pages import finish


@pytest.fixture
def mailout(campaign: Campaign, alice: User) -> Mailout:
    return launch_campaign(campaign=campaign, revision=1, actor=alice)


class HasRequest(Protocol):
    wsgi_request: WSGIRequest


def said_after(response: HasRequest) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_campaign_opens_on_its_content_and_later_on_its_live_page(
    bob_client: Client, campaign: Campaign, alice: User
) -> None:
    url = reverse("admin:campaign", args=[campaign.pk])
    assert bob_client.get(url).headers["Location"] == page("content", campaign)

    launch_campaign(campaign=campaign, revision=1, actor=alice)

    assert bob_client.get(url).headers["Location"] == page("live", campaign)


def test_a_campaign_that_was_not_sent_has_no_live_page(bob_client: Client, campaign: Campaign) -> None:
    assert bob_client.get(page("live", campaign)).status_code == 404
    assert bob_client.get(page("live_state", campaign)).status_code == 404


def test_a_button_that_does_not_exist_does_nothing(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    assert bob_client.post(page("control", campaign), {"act": "explode"}).status_code == 404

    mailout.refresh_from_db()
    assert mailout.state == MailoutState.SENDING


def test_renaming_and_a_name_that_cannot_be(bob_client: Client, campaign: Campaign) -> None:
    bob_client.post(page("rename", campaign), {"name": "Winter"})
    campaign.refresh_from_db()
    assert campaign.name == "Winter"

    refused = bob_client.post(page("rename", campaign), {"name": " "})
    assert said_after(refused) == ["Give the campaign a name."]
    campaign.refresh_from_db()
    assert campaign.name == "Winter"


def test_duplicating_opens_the_copy(bob_client: Client, campaign: Campaign) -> None:
    response = bob_client.post(page("duplicate", campaign))

    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    assert response.headers["Location"] == page("content", copy)


def test_archiving_leaves_the_list_and_a_scheduled_one_stays(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.SCHEDULED, scheduled_at=timezone.now())
    bob_client.post(page("archive", campaign))
    campaign.refresh_from_db()
    assert not campaign.is_archived

    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.DRAFT)
    bob_client.post(page("archive", campaign))
    campaign.refresh_from_db()
    assert campaign.is_archived


def test_undoing_nothing_and_calling_off_nothing_say_so(bob_client: Client, campaign: Campaign) -> None:
    assert said_after(bob_client.post(page("undo", campaign))) == ["There is nothing to undo."]
    assert "It is not scheduled any more." in said_after(bob_client.post(page("call_off", campaign)))


def test_a_new_campaign_needs_a_name(bob_client: Client) -> None:
    for name in ("", "   "):
        assert bob_client.post(reverse("admin:campaign_new"), {"name": name}).status_code == 422

    assert not Campaign.objects.exists()


def test_the_checks_name_what_stops_it_and_lead_there(
    bob_client: Client, campaign: Campaign, acme: Organization
) -> None:
    Organization.objects.filter(pk=acme.pk).update(postal_address="")
    Campaign.objects.filter(pk=campaign.pk).update(subject="", sender_email="", body="<p>{{ fist_name }}</p>")
    campaign.lists.clear()

    said = text(bob_client.get(page("checks", campaign)))

    assert "4 things stop this campaign." in said
    for step in ("sender", "audience", "content"):
        assert page(step, campaign) in said
    assert reverse("admin:organization_settings") in said
    assert "fist_name" in said


def test_the_checks_of_a_sound_campaign_say_what_passed(bob_client: Client, campaign: Campaign) -> None:
    said = text(bob_client.get(page("checks", campaign)))

    assert "Nothing stops this campaign." in said
    assert "Unsubscribe link, and one click for Gmail and Yahoo" in said
    assert "5 emails at 50 a second: done in about 1 second." in said
    assert "10,000 of today’s quota are free." in said


def test_an_error_in_the_template_is_placed_there(bob_client: Client, campaign: Campaign, template: Template) -> None:
    version = template.versions.get()
    version.html = "<!doctype html><html><body>\n{{ content }}\n{{ fist_name }}</body></html>"
    version.save()
    Campaign.objects.filter(pk=campaign.pk).update(template=template, subject="{{ lst_name }}", preheader="{{ ct }}")

    said = text(bob_client.get(page("content", campaign)))

    assert "Template “Frame”, line 3, column 1" in said
    assert "Subject, column 1" in said
    assert "Preview text, column 1" in said
    assert "Mend it" in said


def test_a_syntax_error_names_line_and_column_in_the_readers_language(
    bob_client: Client, bob: User, campaign: Campaign
) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(format="markdown", body="# Hello\n\n{{ fist_name }} {% if city %}")

    assert "Line 3, column 17" in text(bob_client.get(page("content", campaign)))
    User.objects.filter(pk=bob.pk).update(language="ru")

    assert "Строка 3, столбец 17" in text(bob_client.get(page("content", campaign)))
    Campaign.objects.filter(pk=campaign.pk).update(body="{{ fist_name }}")
    assert "«fist_name» нет ни у кого." in text(bob_client.get(page("content", campaign)))


def test_a_broken_page_of_a_form_is_refused(bob_client: Client, campaign: Campaign) -> None:
    without_revision = bob_client.post(page("content", campaign), {"body": "x"})
    without_day = bob_client.post(page("when", campaign), {"revision": 1, "when": "at"})

    assert without_revision.status_code == 422
    assert "This page is incomplete." in text(without_revision)
    assert without_day.status_code == 422
    assert "Choose a day and an hour." in text(without_day)
    campaign.refresh_from_db()
    assert campaign.revision == 1


def test_a_cut_off_is_saved_and_shown_on_the_review(bob_client: Client, campaign: Campaign) -> None:
    data = {
        "revision": 1,
        "when": "at",
        "day": "2031-07-01",
        "time": "09:00",
        "cutoff": "1",
        "cutoff_day": "2031-07-01",
        "cutoff_time": "23:00",
    }
    bob_client.post(page("when", campaign), data)

    said = text(bob_client.get(page("review", campaign)))

    assert "5 people get this email Tue 1 Jul 2031, 09:00." in said
    assert "nothing after Tue 1 Jul 2031, 23:00" in said
    assert 'name="act" value="schedule"' in said
    bob_client.post(page("when", campaign), {"revision": 2, "when": "now"})
    campaign.refresh_from_db()
    assert (campaign.scheduled_at, campaign.not_after) == (None, None)


def test_an_unknown_reason_and_a_wrong_page_number_are_forgiven(bob_client: Client, campaign: Campaign) -> None:
    assert "Complained" in text(bob_client.get(f"{page('left_out', campaign)}?reason=zzz&after=zzz"))
    assert bob_client.get(f"{page('audience', campaign)}?after=zzz").status_code == 200
    changelist = reverse("admin:campaigns_campaign_changelist")
    assert bob_client.get(f"{changelist}?before=zzz&state=zzz").status_code == 200


def test_a_braked_campaign_offers_its_ways_on(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    Mailout.objects.filter(pk=mailout.pk).update(state=MailoutState.PAUSED, state_reason=StateReason.BOUNCES)

    said = text(bob_client.get(page("live", campaign)))

    assert "Too many addresses bounced." in said
    assert "Go on with everybody" in said
    assert "Too many addresses bounced" in text(bob_client.get(reverse("admin:campaigns_campaign_changelist")))


def test_a_campaign_tells_which_brakes_somebody_lifted(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    assert "in spite of" not in text(bob_client.get(page("live", campaign)))
    Mailout.objects.filter(pk=mailout.pk).update(lifted_brakes=["bounces", "errors"])

    said = text(bob_client.get(page("live", campaign)))

    assert (
        "Somebody went on in spite of this: too many addresses bounced, the provider refuses too many messages." in said
    )


def test_a_campaign_whose_sender_is_refused_says_how_to_go_on(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    Mailout.objects.filter(pk=mailout.pk).update(
        state=MailoutState.PAUSED, state_reason=StateReason.SENDER, sender="News <new@acme.example>"
    )

    response = bob_client.get(page("live", campaign))

    said = text(response)
    assert "The sender is not verified." in said
    assert "Amazon does not let News &lt;new@acme.example&gt; send." in response.content.decode()
    assert "then go on" in said
    assert "5% bounces or 0.1% complaints" not in said


def test_the_report_groups_errors_and_links(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    for n, state in ((1, MessageState.FAILED), (2, MessageState.FAILED), (3, MessageState.UNKNOWN)):
        Message.objects.filter(mailout_id=mailout.pk, n=n).update(state=state, error=f"{state.name}: why")
    finish(mailout, sent=2)
    StatLink.objects.create(mailout_id=mailout.pk, email_no=0, link_no=1, total=9, uniq=4, uniq_human=3)

    said = text(bob_client.get(page("live", campaign)))

    assert "FAILED: why" in said
    assert "no machine sends it twice" in said
    assert reverse("admin:mailout_unanswered", args=[mailout.pk]) in said
    assert "https://acme.example/a" in said


def test_a_report_with_more_news_than_sent_leaves_the_second_account_out(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    finish(mailout, sent=1)
    StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=EventType.DELIVERED, total=3, uniq=3, uniq_human=3)

    assert "What became of" not in text(bob_client.get(page("live", campaign)))


def test_a_sending_that_reached_nobody_says_so(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    finish(mailout, sent=0)

    assert "Nobody got it." in text(bob_client.get(page("live", campaign)))


def test_home_shows_what_comes_and_what_waits_for_a_decision(
    bob_client: Client, campaign: Campaign, acme: Organization
) -> None:
    at = timezone.now() + datetime.timedelta(days=2)
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.SCHEDULED, scheduled_at=at)
    Campaign.objects.create(organization=acme, name="Planned", scheduled_at=at)
    AccountPace.objects.update(parked_reason=ParkReason.QUOTA, parked_until=at)

    said = text(bob_client.get(reverse("admin:index")))

    assert "2 things need you." in said
    assert "“SES” sends nothing" in said
    assert "“Planned” is not scheduled yet" in said
    assert "Coming up" in said


def test_home_keeps_its_health_when_mail_came_back(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    finish(mailout, sent=5)
    for kind, people in ((EventType.SENT, 5), (EventType.BOUNCED, 1)):
        StatEmail.objects.create(
            mailout_id=mailout.pk, email_no=0, type=kind, total=people, uniq=people, uniq_human=people
        )

    said = text(bob_client.get(reverse("admin:index")))

    assert "20.0%" in said
    assert "At risk" in said


def test_the_palette_finds_campaigns_of_the_own_organization(
    bob_client: Client, mallory_client: Client, campaign: Campaign
) -> None:
    url = f"{reverse('admin:search')}?s=autumn"

    assert "Autumn letter" in bob_client.get(url).content.decode()
    assert "Autumn letter" not in mallory_client.get(url).content.decode()


def test_the_preview_finds_people_by_the_beginning_of_their_address(bob_client: Client, campaign: Campaign) -> None:
    found = text(bob_client.get(f"{page('content', campaign)}?who=newsletter3"))
    missing = text(bob_client.get(f"{page('content', campaign)}?who=zzz"))

    assert "Reader3" in found
    assert "No address begins with “zzz”." in missing


def test_a_preview_of_an_empty_campaign_is_empty(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(subject="", body="")

    assert bob_client.get(f"{page('email', campaign)}?theme=dark").status_code == 200


def test_broken_content_keeps_a_dry_run_and_a_test_from_starting(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(body="{% if first_name %}never closed")

    assert bob_client.post(page("dry_run_start", campaign)).status_code == 422
    assert bob_client.post(page("test", campaign), {"recipients": "a@acme.example"}).status_code == 422
    assert not Mailout.objects.exists()


@pytest.mark.parametrize(
    ("missing", "said"),
    [("account", "Choose the account"), ("sender_email", "no sender address"), ("people", "at most 20 people")],
)
def test_a_test_that_cannot_be_sent_says_why(
    bob_client: Client, campaign: Campaign, acme: Organization, missing: str, said: str
) -> None:
    if missing == "account":
        world.make_account(acme)  # a second one, and none chosen
        Campaign.objects.filter(pk=campaign.pk).update(account=None)
    elif missing == "sender_email":
        Campaign.objects.filter(pk=campaign.pk).update(sender_email="")
    count = 21 if missing == "people" else 1
    recipients = "\n".join(f"p{number}@acme.example" for number in range(count))

    response = bob_client.post(page("test", campaign), {"recipients": recipients})

    assert response.status_code == 422
    assert said in text(response)
    assert not Mailout.objects.exists()


def test_an_old_version_of_a_template_is_brought_back(bob_client: Client, template: Template) -> None:
    change = reverse("admin:campaigns_template_change", args=[template.pk])
    bob_client.post(change, {"name": "Frame", "html": f"{world.FRAME}<!-- 2 -->", "number": "1"})

    bob_client.post(reverse("admin:template_restore", args=[template.pk, 1]))
    bob_client.post(reverse("admin:template_restore", args=[template.pk, 99]))

    newest = template.versions.first()
    assert newest is not None
    assert (newest.number, newest.html) == (3, world.FRAME)
    assert "Version 3" in text(bob_client.get(change))


def test_a_subject_is_measured_as_readers_see_it(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(subject='Winter beans, {{ first_name | default: "dear reader" }}')

    said = text(bob_client.get(page("sender", campaign)))

    assert "25 characters; phones show about 41" in said
    assert "Phones cut this subject short." not in said
