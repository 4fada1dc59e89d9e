from __future__ import annotations

import datetime

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from campaigns.models import Campaign, CampaignState
from campaigns.services.launching import launch_campaign
from delivery.models import EventType, Mailout, MailoutKind, MailoutState, StatEmail
from organizations.models import AuditEntry, Organization, User
from subscribers.models import List
from tests.campaigns import world
from tests.campaigns.test_launching import in_threads
from tests.campaigns.test_pages import page, text
from tests.cast import make_cast

CONFIRMED = {"revision": "1", "people": "5", "typed": "5"}


@pytest.fixture
def mailout(campaign: Campaign, alice: User) -> Mailout:
    return launch_campaign(campaign=campaign, revision=1, actor=alice)


def test_the_review_says_who_gets_it_and_asks_for_the_number(bob_client: Client, campaign: Campaign) -> None:
    said = text(bob_client.get(page("review", campaign)))

    assert "5 people get this email when you confirm." in said
    assert 'data-confirm="5"' in said
    assert "Not tested yet" in said


def test_the_review_of_an_installation_that_only_simulates_says_so(
    bob_client: Client, campaign: Campaign, settings: Settings
) -> None:
    settings.SENDING_MODE = "dry_run"

    said = text(bob_client.get(page("review", campaign)))
    assert "5 people would get this email." in said
    assert "Simulate for 5 people" in said
    assert "when you confirm" not in said

    bob_client.post(page("review", campaign), CONFIRMED)
    Mailout.objects.update(state=MailoutState.FINISHED)
    assert "Simulated" in text(bob_client.get("/admin/messages/"))


def test_typing_the_number_sends_it_and_posting_again_sends_nothing_more(
    bob_client: Client, campaign: Campaign, bob: User
) -> None:
    first = bob_client.post(page("review", campaign), CONFIRMED)
    second = bob_client.post(page("review", campaign), CONFIRMED)

    assert first.headers["Location"] == second.headers["Location"] == page("live", campaign)
    mailout = Mailout.objects.get()
    assert (mailout.eligible, mailout.created_by) == (5, bob)


@pytest.mark.parametrize("typed", ["", "4", "five", "50", "-5"])
def test_another_number_sends_nothing(bob_client: Client, campaign: Campaign, typed: str) -> None:
    response = bob_client.post(page("review", campaign), {**CONFIRMED, "typed": typed})

    assert response.status_code == 422
    assert not Mailout.objects.exists()


@pytest.mark.parametrize("typed", ["1,234", "1 234", "1.234", "1\u202f234"])
def test_the_typed_number_may_have_separators(
    bob_client: Client, campaign: Campaign, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def remember(**given: object) -> Mailout:
        seen.update(given)
        return Mailout(pk=1, is_dry_run=False)

    monkeypatch.setattr("campaigns.admin.confirming.launch_campaign", remember)

    bob_client.post(page("review", campaign), {"revision": "1", "people": "1234", "typed": typed})

    assert seen["people"] == 1234


def test_a_change_since_the_page_was_opened_is_named(
    bob_client: Client, alice_client: Client, campaign: Campaign
) -> None:
    alice_client.post(page("sender", campaign), {"revision": 1, "changed": ["subject"], "subject": "Changed"})

    response = bob_client.post(page("review", campaign), CONFIRMED)

    assert response.status_code == 409
    assert "Alice changed the subject." in text(response)
    assert not Mailout.objects.exists()


def test_people_who_joined_since_the_page_was_opened_are_named(
    bob_client: Client, campaign: Campaign, newsletter: List
) -> None:
    world.subscribe(newsletter, "late@example.com")

    response = bob_client.post(page("review", campaign), CONFIRMED)

    assert response.status_code == 409
    assert "1 person joined the audience" in text(response)
    assert not Mailout.objects.exists()


def test_a_blocking_reason_takes_the_place_of_the_form(
    bob_client: Client, campaign: Campaign, acme: Organization
) -> None:
    Organization.objects.filter(pk=acme.pk).update(postal_address="")

    said = text(bob_client.get(page("review", campaign)))

    assert "One thing stops this campaign." in said
    assert "no postal address" in said
    assert "data-confirm" not in said
    assert bob_client.post(page("review", campaign), CONFIRMED).status_code == 409
    assert not Mailout.objects.exists()


def test_confirming_a_time_schedules_it_and_it_can_be_called_off(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=timezone.now() + datetime.timedelta(hours=2))

    bob_client.post(page("review", campaign), {**CONFIRMED, "act": "schedule"})
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.SCHEDULED
    assert "Call it off" in text(bob_client.get(page("content", campaign)))

    bob_client.post(page("call_off", campaign))
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.DRAFT
    assert not Mailout.objects.exists()


def test_the_steps_of_a_launched_campaign_lead_to_its_live_page(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    for step in ("content", "audience", "sender", "checks", "when", "review"):
        assert bob_client.get(page(step, campaign)).headers["Location"] == page("live", campaign)


def test_the_live_page_and_its_numbers(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    assert "0 of 5 are out." in text(bob_client.get(page("live", campaign)))

    numbers = bob_client.get(page("live_state", campaign)).json()

    assert numbers | {"lead": "", "rate": 0} == {
        "state": "sending",
        "state_key": "sending::",
        "headline": "0 of 5 are out.",
        "lead": "",
        "gone": 0,
        "sent": 0,
        "simulated": 0,
        "waiting": 5,
        "failed": 0,
        "unknown": 0,
        "excluded": 0,
        "cancelled": 0,
        "rate": 0,
        "share": 0.0,
        "total": 5,
        "delivered": 0,
        "opened": 0,
        "clicked": 0,
        "unsubscribed": 0,
    }


def test_pause_go_on_and_stop(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    for act, state in (("pause", "paused"), ("resume", "sending"), ("stop", "cancelling")):
        bob_client.post(page("control", campaign), {"act": act})
        mailout.refresh_from_db()
        assert mailout.state == state

    actions = AuditEntry.objects.filter(action__startswith="campaign.").order_by("at").values_list("action", flat=True)
    assert list(actions) == ["campaign.launched", "campaign.paused", "campaign.resumed", "campaign.stopped"]


def test_pausing_what_is_paused_says_so(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    Mailout.objects.update(state=MailoutState.PAUSED)

    response = bob_client.post(page("control", campaign), {"act": "pause"})

    assert [str(message) for message in get_messages(response.wsgi_request)] == ["It is already “Paused”."]


def test_a_paused_campaign_says_how_many_wait(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    bob_client.post(page("control", campaign), {"act": "pause"})

    said = text(bob_client.get(page("live", campaign)))

    assert "We stopped, 5 people are waiting." in said
    assert "Go on" in said


def test_an_analyst_sees_no_button_of_a_sending_campaign(
    carol_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    said = text(carol_client.get(page("live", campaign)))

    assert "0 of 5 are out." in said
    assert "Stop for good" not in said
    assert carol_client.post(page("control", campaign), {"act": "pause"}).status_code == 403
    mailout.refresh_from_db()
    assert mailout.state == MailoutState.SENDING


def test_a_finished_campaign_shows_the_account_and_people_apart_from_machines(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    finish(mailout, sent=5)
    for kind, uniq, human in (
        (EventType.DELIVERED, 4, 4),
        (EventType.BOUNCED, 1, 1),
        (EventType.OPENED, 3, 2),
        (EventType.CLICKED, 1, 1),
    ):
        StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=kind, total=uniq, uniq=uniq, uniq_human=human)

    said = text(bob_client.get(page("live", campaign)))

    assert "4 people got it, 2 of them opened it." in said
    assert "<dt>Opened by people</dt><dd>50.0%</dd>" in said
    assert "<dt>Clicked</dt><dd>25.0%</dd>" in said
    assert "1 emails were opened only by mail programs" in said
    assert "No news yet" in said


def test_while_most_news_is_on_its_way_the_report_says_so(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    finish(mailout, sent=5)
    StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=EventType.DELIVERED, total=1, uniq=1, uniq_human=1)

    assert "It was sent to 5 people; 1 got it as far as we know." in text(bob_client.get(page("live", campaign)))


def finish(mailout: Mailout, *, sent: int) -> None:
    """What the tick writes when a mailout has finished."""
    states = dict.fromkeys(("queued", "sent", "simulated", "failed", "unknown", "excluded", "cancelled", "held"), 0)
    Mailout.objects.filter(pk=mailout.pk).update(
        state=MailoutState.FINISHED,
        finished_at=timezone.now(),
        final_account={"candidates": sent, "states": states | {"sent": sent}, "reasons": {}},
    )


def test_the_report_of_a_stopped_campaign_says_that_it_was_stopped(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    finish(mailout, sent=1)
    mailout.refresh_from_db()
    assert "Stopped for good" not in text(bob_client.get(page("live", campaign)))
    account = dict(mailout.final_account or {})
    Mailout.objects.filter(pk=mailout.pk).update(
        state=MailoutState.CANCELLED,
        final_account=account | {"candidates": 5, "states": account["states"] | {"cancelled": 4}},
    )

    assert "Stopped for good: 4 people were left without it." in text(bob_client.get(page("live", campaign)))


def test_a_test_send_from_its_page(bob_client: Client, campaign: Campaign, acme: Organization) -> None:
    assert "test@acme.example" in text(bob_client.get(page("test", campaign)))

    response = bob_client.post(page("test", campaign), {"recipients": "a@acme.example, b@acme.example\n"})

    assert response.headers["Location"] == page("test", campaign)
    mailout = Mailout.objects.get()
    assert (mailout.kind, mailout.eligible) == (MailoutKind.TEST, 2)
    assert "Sent to 2 people" in text(bob_client.get(page("review", campaign)))
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.DRAFT


@pytest.mark.parametrize(
    ("recipients", "said"), [("", "Say who gets the test."), ("nobody", "is not an email address")]
)
def test_a_test_to_nobody_is_refused(bob_client: Client, campaign: Campaign, recipients: str, said: str) -> None:
    response = bob_client.post(page("test", campaign), {"recipients": recipients})

    assert response.status_code == 422
    assert said in text(response)
    assert not Mailout.objects.exists()


def test_a_dry_run_from_its_page_leaves_a_draft(bob_client: Client, campaign: Campaign) -> None:
    response = bob_client.post(page("dry_run_start", campaign))

    mailout = Mailout.objects.get()
    assert mailout.is_dry_run
    result = reverse("admin:campaign_dry_run", args=[campaign.pk, mailout.pk])
    assert response.headers["Location"] == result
    assert "0 of 5 are through." in text(bob_client.get(result))
    state = reverse("admin:campaign_dry_run_state", args=[campaign.pk, mailout.pk])
    assert bob_client.get(state).json()["waiting"] == 5
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.DRAFT


def test_a_real_sending_is_no_dry_run(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    assert bob_client.get(reverse("admin:campaign_dry_run", args=[campaign.pk, mailout.pk])).status_code == 404


# ---- home ------------------------------------------------------------------------------------------------------


def test_the_first_page_of_an_empty_organization_shows_the_steps(bob_client: Client) -> None:
    said = text(bob_client.get(reverse("admin:index")))

    assert "1 of 6 steps to your first campaign." in said


def test_the_first_steps_lead_to_local_ses_where_it_runs(bob_client: Client, settings: Settings) -> None:
    settings.LOCALSES_URL = "http://127.0.0.1:1"
    here = text(bob_client.get(reverse("admin:index")))
    settings.LOCALSES_URL = ""
    nowhere = text(bob_client.get(reverse("admin:index")))

    assert "Set up Local SES, or connect Amazon SES" in here
    assert "Local SES" not in nowhere
    assert "Connect Amazon SES" in nowhere


def test_the_first_page_says_what_needs_somebody(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    assert "All clear." in text(bob_client.get(reverse("admin:index")))

    bob_client.post(page("control", campaign), {"act": "pause"})

    said = text(bob_client.get(reverse("admin:index")))
    assert "One thing needs you." in said
    assert "“Autumn letter” is paused" in said


def test_a_campaign_that_was_held_needs_somebody(bob_client: Client, campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(
        state=CampaignState.FAILED, state_detail="The sender is not verified."
    )

    said = text(bob_client.get(reverse("admin:index")))

    assert "“Autumn letter” did not go out" in said
    assert "The sender is not verified." in said


@pytest.mark.django_db(transaction=True)
def test_ten_posts_at_once_send_once() -> None:
    cast = make_cast()
    newsletter = world.make_list(cast.acme, "Newsletter", people=5)
    campaign = world.make_campaign(cast.acme, world.make_account(cast.acme), newsletter, actor=cast.alice)
    client = Client()
    client.force_login(cast.bob)

    def post() -> tuple[int, str]:
        own = Client()
        own.cookies = client.cookies
        response = own.post(page("review", campaign), CONFIRMED)
        return response.status_code, response.headers["Location"]

    results = in_threads(10, post)

    assert results == [(302, page("live", campaign))] * 10
    assert Mailout.objects.count() == 1
    assert Mailout.objects.get().eligible == 5
