from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override
from pytest_django import Settings

from amazonsender.core.errors import Conflict
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.states import state_of
from campaigns.services.dry_run import run_dry
from campaigns.services.launching import NotReady, launch_campaign
from campaigns.services.testing import send_campaign_test
from delivery.compiling import CompileError
from delivery.models import Mailout, MailoutKind, MailoutState, SenderIdentity
from organizations.models import AuditEntry, Organization, User
from subscribers.models import List, Subscriber, SubscriberStatus
from tests.campaigns import world
from tests.cast import make_cast


def test_launching_freezes_the_audience_and_names_who_did_it(campaign: Campaign, alice: User) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=alice, people=5)

    assert (mailout.candidates, mailout.eligible, mailout.created_by) == (5, 5, alice)
    assert mailout.idempotency_key == f"campaign:{campaign.pk}"
    assert mailout.sender == "Acme Coffee <hello@acme.example>"
    assert mailout.list_label == "Newsletter"
    campaign.refresh_from_db()
    assert (campaign.state, campaign.mailout_id) == (CampaignState.SENDING, mailout.pk)
    entry = AuditEntry.objects.get(action="campaign.launched")
    assert entry.detail == {"mailout_id": mailout.pk, "people": 5}


def test_the_audience_is_counted_once_before_it_is_frozen(campaign: Campaign, alice: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        launch_campaign(campaign=campaign, revision=1, actor=alice, people=5)

    assert sum("bool_or(is_sample)" in query["sql"] for query in queries) == 1


def test_launching_again_returns_the_same_mailout(campaign: Campaign, alice: User) -> None:
    first = launch_campaign(campaign=campaign, revision=1, actor=alice)

    assert launch_campaign(campaign=campaign, revision=1, actor=alice) == first
    assert Mailout.objects.count() == 1


def test_the_state_people_see_is_the_mailouts(campaign: Campaign, alice: User) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=alice)
    seen = {}
    for state in MailoutState.values:
        Mailout.objects.filter(pk=mailout.pk).update(state=state)
        seen[state] = str(state_of(Campaign.objects.get(pk=campaign.pk)))

    assert seen == {
        "sending": "sending",
        "paused": "paused",
        "cancelling": "cancelled",
        "cancelled": "cancelled",
        "finished": "sent",
    }


def test_every_reason_against_it_is_named_at_once(campaign: Campaign, acme: Organization, alice: User) -> None:
    Organization.objects.filter(pk=acme.pk).update(postal_address="")
    Campaign.objects.filter(pk=campaign.pk).update(subject="", body="")
    campaign = Campaign.objects.get(pk=campaign.pk)
    campaign.lists.clear()

    with pytest.raises(NotReady) as refused:
        launch_campaign(campaign=campaign, revision=1, actor=alice)

    assert refused.value.reasons == [
        "The subject is empty.",
        "There is no content yet.",
        "Your organization has no postal address. The law asks for it in every campaign.",
        "Nobody would get it. Choose a list with subscribed people.",
    ]
    assert not Mailout.objects.exists()
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.DRAFT


def test_a_sender_that_is_not_verified_stops_it(
    campaign: Campaign, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    SenderIdentity.objects.update(is_verified=False)
    monkeypatch.setattr("delivery.services.accounts.refresh_sender", lambda sender: None)

    with pytest.raises(NotReady, match=r"hello@acme\.example"):
        launch_campaign(campaign=campaign, revision=1, actor=alice)

    assert not Mailout.objects.exists()


def test_a_syntax_error_stops_it(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(body="{% if first_name %}never closed")

    with pytest.raises(NotReady):
        launch_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice)

    assert not Mailout.objects.exists()


def test_an_older_revision_than_the_confirmed_one_is_refused(campaign: Campaign, alice: User, bob: User) -> None:
    from campaigns.services.compose import save_campaign

    save_campaign(campaign=campaign, changes={"subject": "Changed"}, revision=1, actor=bob)

    with pytest.raises(Conflict, match=r"Bob changed the subject\. Look again\."):
        launch_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice)

    assert not Mailout.objects.exists()


def test_another_number_of_people_than_the_confirmed_one_is_refused(
    campaign: Campaign, newsletter: List, alice: User
) -> None:
    world.subscribe(newsletter, "late@example.com")

    with pytest.raises(Conflict, match="1 person joined the audience"):
        launch_campaign(campaign=campaign, revision=1, actor=alice, people=5)

    campaign.refresh_from_db()
    assert (campaign.state, campaign.mailout_id) == (CampaignState.DRAFT, None)
    assert not Mailout.objects.exists()


def test_those_left_out_are_rows_of_the_mailout_too(campaign: Campaign, newsletter: List, alice: User) -> None:
    Subscriber.objects.filter(email="newsletter1@example.com").update(status=SubscriberStatus.BOUNCED)

    mailout = launch_campaign(campaign=campaign, revision=1, actor=alice, people=4)

    assert (mailout.candidates, mailout.eligible) == (5, 4)


def test_a_dry_run_leaves_the_campaign_a_draft_and_may_be_repeated(campaign: Campaign, alice: User) -> None:
    first, second = run_dry(campaign=campaign, actor=alice), run_dry(campaign=campaign, actor=alice)

    assert first != second
    assert (first.is_dry_run, first.account_id, first.eligible) == (True, None, 5)
    campaign.refresh_from_db()
    assert (campaign.state, campaign.mailout_id, campaign.revision) == (CampaignState.DRAFT, None, 1)
    assert launch_campaign(campaign=campaign, revision=1, actor=alice).is_dry_run is False


def test_in_a_dry_installation_launching_simulates_and_the_campaign_stays_a_draft(
    campaign: Campaign, alice: User, settings: Settings
) -> None:
    settings.SENDING_MODE = "dry_run"

    with override("ru"):  # the team reads it in the organization's language, whoever pressed
        mailout = launch_campaign(campaign=campaign, revision=1, actor=alice)

    assert mailout.is_dry_run
    campaign.refresh_from_db()
    assert (campaign.state, campaign.mailout_id) == (CampaignState.DRAFT, None)
    assert campaign.state_detail == "Simulated: this installation sends nothing (SENDING_MODE=dry_run)."


def test_a_test_goes_to_the_named_people_only_and_changes_nothing(campaign: Campaign, alice: User) -> None:
    person = Subscriber.objects.get(email="newsletter2@example.com")

    mailout = send_campaign_test(
        campaign=campaign,
        recipients=["a@acme.example", " A@acme.example ", "b@acme.example"],
        subscriber=person,
        actor=alice,
    )

    assert (mailout.kind, mailout.eligible, mailout.preview_subscriber_id) == (MailoutKind.TEST, 2, person.pk)
    assert not mailout.counts_in_statistics
    campaign.refresh_from_db()
    assert (campaign.state, campaign.mailout_id, campaign.revision) == (CampaignState.DRAFT, None, 1)


def test_a_test_of_broken_content_says_what_is_wrong(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(body="{% if x %}")

    with pytest.raises(CompileError):
        send_campaign_test(
            campaign=Campaign.objects.get(pk=campaign.pk), recipients=["a@acme.example"], subscriber=None, actor=alice
        )

    assert not Mailout.objects.exists()


def in_threads(count: int, act: Callable[[], object]) -> list[object]:
    """Run something at the same moment in many threads, each with its own connection."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        try:
            barrier.wait()
            results.append(act())
        except Exception as error:  # noqa: BLE001 - what it raised is what is looked at
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_ten_clicks_at_once_launch_once() -> None:
    cast = make_cast()
    newsletter = world.make_list(cast.acme, "Newsletter", people=5)
    campaign = world.make_campaign(cast.acme, world.make_account(cast.acme), newsletter, actor=cast.alice)

    results = in_threads(
        10,
        lambda: launch_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=cast.alice, people=5),
    )

    mailout = Mailout.objects.get()
    assert results == [mailout] * 10
    assert AuditEntry.objects.filter(action="campaign.launched").count() == 1


def test_a_person_cannot_start_what_is_scheduled(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.SCHEDULED, scheduled_at="2031-01-01T00:00Z")

    with pytest.raises(Conflict, match="It is scheduled already"):
        launch_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice)

    assert not Mailout.objects.exists()


def test_people_who_left_since_the_confirmation_are_counted_too(
    campaign: Campaign, newsletter: List, alice: User
) -> None:
    newsletter.subscriptions.filter(subscriber__email="newsletter1@example.com").delete()

    with pytest.raises(Conflict, match="1 person left the audience"):
        launch_campaign(campaign=campaign, revision=1, actor=alice, people=5)

    assert not Mailout.objects.exists()


def test_a_dry_run_of_broken_content_is_refused(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(body="{% if x %}")

    with pytest.raises(CompileError):
        run_dry(campaign=Campaign.objects.get(pk=campaign.pk), actor=alice)

    assert not Mailout.objects.exists()
