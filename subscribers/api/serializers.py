"""How subscribers look from outside, and what can be set."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from amazonsender.core.throttle import truncated_text
from subscribers.models import Subscriber, SubscriberStatus, Subscription, SubscriptionState
from subscribers.services.upserting import Consent

SUBSCRIPTION_STATES = SubscriptionState.values


@extend_schema_field(OpenApiTypes.OBJECT)
class AttributesField(serializers.DictField):
    """Values by the keys that the organization defined; null takes one away."""


class SubscriptionSerializer(serializers.Serializer[Any]):
    """A person's state on a list."""

    list_id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=SUBSCRIPTION_STATES)
    changed_at = serializers.DateTimeField()


class SubscriberSerializer(serializers.Serializer[Any]):
    """A person, found by id or address."""

    id = serializers.IntegerField()
    email = serializers.CharField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    locale = serializers.CharField()
    time_zone = serializers.CharField()
    attributes = AttributesField()
    tags = serializers.ListField(child=serializers.CharField())
    status = serializers.ChoiceField(choices=SubscriberStatus.values)
    subscriptions = SubscriptionSerializer(many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class SubscriberPageSerializer(serializers.Serializer[Any]):
    """A page of subscribers."""

    data = SubscriberSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


class ConsentSerializer(serializers.Serializer[Any]):
    """How the person opted in; kept as evidence."""

    at = serializers.DateTimeField(required=False, help_text="When. Now, if it isn't given.")
    text = serializers.CharField(required=False, allow_blank=True, max_length=5000, help_text="What they agreed to.")
    source = serializers.CharField(  # type: ignore[assignment]  # a declared field leaves the class
        required=False, allow_blank=True, max_length=300, help_text="Such as the form's URL."
    )
    ip = serializers.IPAddressField(required=False, help_text="Stored without its last part.")
    user_agent = serializers.CharField(required=False, allow_blank=True, max_length=300)
    comes_back = serializers.BooleanField(
        required=False, help_text="They had left, and asked for it again themselves. Nobody comes back without."
    )


class SubscriberFieldsSerializer(serializers.Serializer[Any]):
    """What can be set of a person."""

    first_name = serializers.CharField(required=False, allow_blank=True, max_length=120)
    last_name = serializers.CharField(required=False, allow_blank=True, max_length=120)
    locale = serializers.CharField(required=False, allow_blank=True, max_length=12)
    time_zone = serializers.CharField(required=False, allow_blank=True, max_length=64)
    attributes = AttributesField(required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=50)


class SubscriberChangeSerializer(SubscriberFieldsSerializer):
    """The same, and the address."""

    email = serializers.CharField(required=False, max_length=320)


class SubscriberUpsertSerializer(SubscriberFieldsSerializer):
    """The same, and the lists to be put on."""

    list_ids = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False, max_length=100)
    consent = ConsentSerializer(required=False)


class SubscriberUpsertedSerializer(SubscriberSerializer):
    """The person as it is now, and what was left undone."""

    left_out_list_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="Lists they had left, and stay off without `comes_back`."
    )


def consent_of(given: dict[str, Any]) -> Consent:
    """The consent as services want it; addresses lose their last part here."""
    return Consent(
        at=given.get("at") or timezone.now(),
        text=given.get("text", ""),
        source=given.get("source", ""),
        ip=truncated_text(given.get("ip", "")),
        user_agent=given.get("user_agent", ""),
        comes_back=given.get("comes_back", False),
    )


def show_subscriber(person: Subscriber, subscriptions: list[Subscription]) -> dict[str, Any]:
    return {
        "id": person.pk,
        "email": person.email,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "locale": person.locale,
        "time_zone": person.time_zone,
        "attributes": person.attributes,
        "tags": person.tags,
        "status": person.status,
        "subscriptions": [
            {"list_id": one.list_id, "state": one.state, "changed_at": one.changed_at} for one in subscriptions
        ],
        "created_at": person.created_at,
        "updated_at": person.updated_at,
    }
