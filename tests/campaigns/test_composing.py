from __future__ import annotations

import pytest
from django.utils import timezone

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.models import Campaign, CampaignRevision, CampaignState
from campaigns.services.compose import (
    archive_campaign,
    create_campaign,
    duplicate_campaign,
    save_campaign,
    undo_last_save,
)
from organizations.models import Organization, User
from tests.campaigns import world


def test_a_new_campaign_has_the_organizations_sender(acme: Organization, alice: User) -> None:
    campaign = create_campaign(organization=acme, actor=alice, name="  Autumn  ")

    assert (campaign.name, campaign.sender_name, campaign.sender_email) == (
        "Autumn",
        "Acme Coffee",
        "hello@acme.example",
    )
    assert (campaign.state, campaign.revision) == (CampaignState.DRAFT, 1)


def test_saving_moves_the_revision_and_remembers_what_was_before(campaign: Campaign, alice: User) -> None:
    saved = save_campaign(campaign=campaign, changes={"subject": "New"}, revision=1, actor=alice)

    assert (saved.subject, saved.revision) == ("New", 2)
    remembered = CampaignRevision.objects.get(campaign=campaign)
    assert (remembered.revision, remembered.changed, remembered.actor) == (1, ["subject"], alice)
    assert remembered.fields == {"subject": "Hello {{ first_name | default: 'reader' }}"}


def test_saving_what_is_there_already_changes_nothing(campaign: Campaign, alice: User) -> None:
    saved = save_campaign(campaign=campaign, changes={"subject": campaign.subject}, revision=1, actor=alice)

    assert saved.revision == 1
    assert not CampaignRevision.objects.exists()


def test_two_people_who_change_the_same_field_get_a_conflict_that_names_the_first(
    campaign: Campaign, alice: User, bob: User
) -> None:
    save_campaign(campaign=campaign, changes={"subject": "Alice's"}, revision=1, actor=alice)

    with pytest.raises(Conflict, match=r"^Alice changed the subject\.$"):
        save_campaign(campaign=campaign, changes={"subject": "Bob's"}, revision=1, actor=bob)

    campaign.refresh_from_db()
    assert (campaign.subject, campaign.revision) == ("Alice's", 2)


def test_two_people_who_change_different_fields_are_merged(campaign: Campaign, alice: User, bob: User) -> None:
    save_campaign(campaign=campaign, changes={"subject": "Alice's"}, revision=1, actor=alice)

    saved = save_campaign(campaign=campaign, changes={"preheader": "Bob's"}, revision=1, actor=bob)

    assert (saved.subject, saved.preheader, saved.revision) == ("Alice's", "Bob's", 3)


def test_typing_for_a_minute_is_one_step_back(campaign: Campaign, alice: User) -> None:
    before = campaign.subject
    for revision, subject in enumerate(("H", "He", "Hey"), start=1):
        save_campaign(campaign=campaign, changes={"subject": subject}, revision=revision, actor=alice)

    undone = undo_last_save(campaign=campaign, actor=alice)

    assert undone.subject == before
    assert undone.revision == 5


def test_a_coalesced_save_still_conflicts_with_somebody_who_saw_only_its_beginning(
    campaign: Campaign, alice: User, bob: User
) -> None:
    save_campaign(campaign=campaign, changes={"subject": "H"}, revision=1, actor=alice)
    save_campaign(campaign=campaign, changes={"subject": "Hey"}, revision=2, actor=alice)

    with pytest.raises(Conflict):
        save_campaign(campaign=campaign, changes={"subject": "Bob's"}, revision=2, actor=bob)


def test_undoing_twice_brings_the_save_back(campaign: Campaign, alice: User) -> None:
    other = world.make_list(campaign.organization, "Other", people=0)
    first = campaign.lists.get()
    save_campaign(campaign=campaign, changes={"list_ids": [other.pk]}, revision=1, actor=alice)

    undo_last_save(campaign=campaign, actor=alice)
    assert list(campaign.lists.all()) == [first]

    undo_last_save(campaign=campaign, actor=alice)
    assert list(campaign.lists.all()) == [other]


def test_there_is_nothing_to_undo_in_a_new_campaign(campaign: Campaign, alice: User) -> None:
    with pytest.raises(Conflict, match="nothing to undo"):
        undo_last_save(campaign=campaign, actor=alice)


def test_a_scheduled_campaign_cannot_be_changed(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.SCHEDULED, scheduled_at=timezone.now())

    with pytest.raises(Conflict, match="Call it off"):
        save_campaign(campaign=campaign, changes={"subject": "New"}, revision=1, actor=alice)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "  "}, "Give the campaign a name"),
        ({"sender_email": "nobody"}, "is not an email address"),
        ({"subject": "x" * 401}, "At most 400 characters"),
        ({"body": "x" * 1_000_001}, "more than the 1000 KB"),
        ({"format": "mjml"}, "no such format"),
        ({"list_ids": [999_999]}, "does not exist any more"),
        ({"template_id": 999_999}, "does not exist any more"),
        ({"account_id": 999_999}, "does not exist any more"),
        ({"revision": 7}, "no field called revision"),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_nothing_is_written(
    campaign: Campaign, alice: User, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        save_campaign(campaign=campaign, changes=changes, revision=1, actor=alice)  # type: ignore[arg-type]

    campaign.refresh_from_db()
    assert campaign.revision == 1
    assert not CampaignRevision.objects.exists()


def test_another_organizations_list_cannot_be_chosen(campaign: Campaign, other: Organization, alice: User) -> None:
    theirs = world.make_list(other, "Theirs", people=1)

    with pytest.raises(InvalidInput):
        save_campaign(campaign=campaign, changes={"list_ids": [theirs.pk]}, revision=1, actor=alice)

    assert campaign.lists.get().name == "Newsletter"


def test_a_duplicate_is_a_draft_with_the_same_audience_and_no_times(campaign: Campaign, bob: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=timezone.now(), state=CampaignState.FAILED)
    campaign.refresh_from_db()

    copy = duplicate_campaign(campaign=campaign, actor=bob)

    assert (copy.name, copy.state, copy.scheduled_at, copy.revision) == ("Autumn letter, copy", "draft", None, 1)
    assert (copy.body, list(copy.lists.all())) == (campaign.body, list(campaign.lists.all()))


def test_a_scheduled_campaign_cannot_be_archived(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.SCHEDULED, scheduled_at=timezone.now())

    with pytest.raises(Conflict):
        archive_campaign(campaign=campaign, actor=alice)

    campaign.refresh_from_db()
    assert not campaign.is_archived


def test_a_sent_campaign_can_only_be_duplicated(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=CampaignState.SENDING)

    with pytest.raises(Conflict, match="duplicate it to change it"):
        save_campaign(campaign=campaign, changes={"subject": "New"}, revision=1, actor=alice)


def test_undoing_leaves_out_lists_that_are_gone(campaign: Campaign, alice: User) -> None:
    gone = world.make_list(campaign.organization, "Gone", people=0)
    both = [campaign.lists.get().pk, gone.pk]
    campaign.lists.set(both)
    save_campaign(campaign=campaign, changes={"list_ids": both[:1]}, revision=1, actor=alice)
    gone.delete()

    undo_last_save(campaign=campaign, actor=alice)

    assert list(campaign.lists.values_list("pk", flat=True)) == both[:1]


def test_a_revision_from_the_future_is_refused(campaign: Campaign, alice: User) -> None:
    with pytest.raises(Conflict, match="Somebody else saved meanwhile"):
        save_campaign(campaign=campaign, changes={"subject": "New"}, revision=9, actor=alice)


def test_a_campaign_without_a_name_is_not_made(acme: Organization, alice: User) -> None:
    with pytest.raises(InvalidInput):
        create_campaign(organization=acme, actor=alice, name=" ")

    assert not Campaign.objects.exists()


def test_undoing_brings_a_time_back(campaign: Campaign, alice: User) -> None:
    at = timezone.now()
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=at)
    save_campaign(campaign=campaign, changes={"scheduled_at": None}, revision=1, actor=alice)

    assert undo_last_save(campaign=campaign, actor=alice).scheduled_at == at
