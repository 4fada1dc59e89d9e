"""How campaigns look from outside, and what can be set."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from campaigns.models import Campaign, CampaignState, ContentFormat
from campaigns.selectors.states import state_of
from delivery.api.mailouts import MailoutDetailSerializer

STATE_NAMES = CampaignState.values


class CampaignSerializer(serializers.Serializer[Any]):
    """Content, audience, schedule."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=STATE_NAMES)
    state_detail = serializers.CharField(help_text="Why a scheduled one did not start.")
    subject = serializers.CharField()
    mailout_id = serializers.IntegerField(allow_null=True, help_text="What it became when it was launched.")
    scheduled_at = serializers.DateTimeField(allow_null=True)
    is_archived = serializers.BooleanField()
    revision = serializers.IntegerField(help_text="Goes up with every save; send it back with a change.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class CampaignDetailSerializer(CampaignSerializer):
    """The same, whole."""

    format = serializers.ChoiceField(choices=ContentFormat.values)
    body = serializers.CharField()
    preheader = serializers.CharField()
    template_id = serializers.IntegerField(allow_null=True)
    sender_name = serializers.CharField()
    sender_email = serializers.CharField()
    reply_to = serializers.CharField()
    account_id = serializers.IntegerField(allow_null=True)
    list_ids = serializers.ListField(child=serializers.IntegerField())
    excluded_list_ids = serializers.ListField(child=serializers.IntegerField())
    is_by_local_time = serializers.BooleanField()
    not_after = serializers.DateTimeField(allow_null=True)
    mailout = MailoutDetailSerializer(allow_null=True, help_text="How it is going.")


class CampaignPageSerializer(serializers.Serializer[Any]):
    """A page of campaigns."""

    data = CampaignSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


class CampaignFieldsSerializer(serializers.Serializer[Any]):
    """What can be set."""

    name = serializers.CharField(max_length=200, required=False)
    format = serializers.ChoiceField(choices=ContentFormat.values, required=False)
    body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    template_id = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    subject = serializers.CharField(max_length=400, required=False, allow_blank=True)
    preheader = serializers.CharField(max_length=300, required=False, allow_blank=True)
    sender_name = serializers.CharField(max_length=120, required=False, allow_blank=True)
    sender_email = serializers.CharField(max_length=320, required=False, allow_blank=True)
    reply_to = serializers.CharField(max_length=320, required=False, allow_blank=True)
    account_id = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    list_ids = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False, max_length=1000)
    excluded_list_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1), required=False, max_length=1000
    )
    scheduled_at = serializers.DateTimeField(required=False, allow_null=True)
    not_after = serializers.DateTimeField(required=False, allow_null=True)
    is_by_local_time = serializers.BooleanField(
        required=False, help_text="Everybody gets it when their own clocks show scheduled_at."
    )


class CampaignCreateSerializer(CampaignFieldsSerializer):
    """A draft to be."""

    name = serializers.CharField(max_length=200)


class CampaignChangeSerializer(CampaignFieldsSerializer):
    """What to change."""

    revision = serializers.IntegerField(
        min_value=1, required=False, help_text="What was seen: refused if somebody changed the same fields since."
    )


class ConfirmationSerializer(serializers.Serializer[Any]):
    """What was seen before it was decided; whatever is given must still be so."""

    revision = serializers.IntegerField(min_value=1, required=False)
    people = serializers.IntegerField(min_value=0, required=False, help_text="How many get it, from the review.")


class ScheduleSerializer(ConfirmationSerializer):
    """When; what isn't given is as the campaign has it."""

    scheduled_at = serializers.DateTimeField(required=False)
    not_after = serializers.DateTimeField(required=False, allow_null=True)
    is_by_local_time = serializers.BooleanField(required=False)


class TestSerializer(serializers.Serializer[Any]):
    """Who gets the test, and as whom."""

    recipients = serializers.ListField(
        child=serializers.CharField(max_length=320), required=False, max_length=20,
        help_text="The organization's test recipients, if they aren't given.",
    )  # fmt: skip
    subscriber = serializers.CharField(
        required=False, help_text="Id or address of the subscriber whose data the test shows."
    )


class FindingSerializer(serializers.Serializer[Any]):
    """What the compiler says."""

    code = serializers.CharField()
    is_blocking = serializers.BooleanField()
    message = serializers.CharField()
    part = serializers.CharField()
    line = serializers.IntegerField(help_text="In what the author wrote, from 1; 0 when it is elsewhere.")
    column = serializers.IntegerField()


class ReviewSerializer(serializers.Serializer[Any]):
    """Whether it can be sent as it stands, to whom, and what stands against it."""

    revision = serializers.IntegerField()
    is_ready = serializers.BooleanField()
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Everything that stands against it.")
    candidates = serializers.IntegerField()
    people = serializers.IntegerField(help_text="Who gets it.")
    excluded = serializers.DictField(child=serializers.IntegerField(), help_text="Who doesn't, by reason.")
    findings = FindingSerializer(many=True)


def show_campaign(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "state": str(state_of(campaign)),
        "state_detail": campaign.state_detail,
        "subject": campaign.subject,
        "mailout_id": campaign.mailout_id,
        "scheduled_at": campaign.scheduled_at,
        "is_archived": campaign.is_archived,
        "revision": campaign.revision,
        "created_at": campaign.created_at,
        "updated_at": campaign.updated_at,
    }
