"""/api/v1/mailouts/…/messages and /api/v1/messages"""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from amazonsender.core.errors import NotFound
from delivery.models import EventType, ExclusionReason, Mailout, MessageState, Verdict
from delivery.selectors.messages import (
    HistoryEntry,
    MessageRow,
    list_messages,
    message_history,
    subscriber_messages,
)
from organizations.access import access
from organizations.api.views import ApiView
from subscribers.selectors.people import find_by_address

STATES = {state.name.lower(): state for state in MessageState}
STATE_NAMES = sorted(STATES)
REASON_NAMES = [reason.name.lower() for reason in ExclusionReason]
TIMES = ("sent_at", "delivered_at", "bounced_at", "complained_at", "unsubscribed_at")
LARGEST_N = 2**31 - 1
MOST_OF_ONE_PERSON = 200


class MessageSerializer(serializers.Serializer[Any]):
    """One person's email in a mailout, with its whole fate. Times are the earliest that was told."""

    mailout_id = serializers.IntegerField()
    n = serializers.IntegerField(help_text="Its number in the mailout.")
    subscriber_id = serializers.IntegerField()
    email = serializers.CharField(help_text="`` after erasure.")
    state = serializers.ChoiceField(choices=STATE_NAMES)
    reason = serializers.ChoiceField(choices=REASON_NAMES, help_text="Why it was excluded, `none` otherwise.")
    error = serializers.CharField()
    provider_id = serializers.CharField(help_text="The provider's message id.")
    sent_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    bounced_at = serializers.DateTimeField(allow_null=True)
    complained_at = serializers.DateTimeField(allow_null=True)
    unsubscribed_at = serializers.DateTimeField(allow_null=True)
    opened_at = serializers.DateTimeField(allow_null=True, help_text="By a person, as far as one can tell.")
    clicked_at = serializers.DateTimeField(allow_null=True, help_text="By a person, as far as one can tell.")


class EventSerializer(serializers.Serializer[Any]):
    """What a provider or a reader did."""

    at = serializers.DateTimeField()
    type = serializers.ChoiceField(choices=[one.name.lower() for one in EventType])
    by = serializers.ChoiceField(choices=[one.name.lower() for one in Verdict], help_text="Who opened or clicked.")
    link_no = serializers.IntegerField(allow_null=True)
    detail = serializers.DictField()


class MessageDetailSerializer(MessageSerializer):
    """The same with its history."""

    events = EventSerializer(many=True)


class MessagePageSerializer(serializers.Serializer[Any]):
    """A page of messages."""

    data = MessageSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


class PersonsMessagesSerializer(serializers.Serializer[Any]):
    """A person's messages."""

    data = MessageSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class


def show_message(row: MessageRow) -> dict[str, Any]:
    return {
        "mailout_id": row.mailout_id,
        "n": row.n,
        "subscriber_id": row.subscriber_id,
        "email": row.address,
        "state": row.state.name.lower(),
        "reason": row.reason.name.lower(),
        "error": row.error,
        "provider_id": row.provider_id,
        **{name: getattr(row, name) for name in TIMES},
        "opened_at": row.opened_human_at,
        "clicked_at": row.clicked_human_at,
    }


def show_event(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "type": entry.type.name.lower(),
        "by": entry.verdict.name.lower(),
        "link_no": entry.link_no,
        "detail": entry.detail,
    }


class MailoutMessagesView(ApiView):
    """Everybody of a mailout, also who was left out."""

    scopes: ClassVar[dict[str, str]] = {"GET": "message:view"}
    parameters = PAGE_NAMES | {"state"}

    @extend_schema(
        operation_id="mailout_messages_list",
        tags=["messages"],
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("state", OpenApiTypes.STR, enum=STATE_NAMES)],
        responses=MessagePageSerializer,
    )
    def get(self, request: Request, mailout_id: int) -> Response:
        """List messages by their number."""
        mailout = access(Mailout.objects, organization=self.organization, pk=mailout_id)
        wanted = page_request(request)
        state = request.query_params.get("state", "")
        if state and state not in STATES:
            raise ValidationError({"state": [f"One of {', '.join(STATE_NAMES)}."]})
        after = min(wanted.after or 0, LARGEST_N)
        rows = list_messages(mailout=mailout, after_n=after, limit=wanted.limit + 1, state=STATES.get(state))
        return Response(page(rows, wanted, key=lambda row: row.n, show=show_message))


class MessageView(ApiView):
    """One."""

    scopes: ClassVar[dict[str, str]] = {"GET": "message:view"}

    @extend_schema(operation_id="messages_get", tags=["messages"], responses=MessageDetailSerializer)
    def get(self, request: Request, mailout_id: int, n: int) -> Response:
        """Show a message with its history."""
        if max(mailout_id, n) > LARGEST_N:
            raise NotFound("There is no such message.")
        row, events = message_history(organization=self.organization, mailout_id=mailout_id, n=n)
        return Response(show_message(row) | {"events": [show_event(entry) for entry in events]})


class MessagesView(ApiView):
    """A person's."""

    scopes: ClassVar[dict[str, str]] = {"GET": "message:view"}
    parameters = frozenset({"email"})

    @extend_schema(
        operation_id="messages_list",
        tags=["messages"],
        parameters=[OpenApiParameter("email", OpenApiTypes.STR, required=True, description="Whose.")],
        responses=PersonsMessagesSerializer,
    )
    def get(self, request: Request) -> Response:
        """List a person's messages, the newest mailout first, at most 200."""
        email = request.query_params.get("email", "")
        if not email:
            raise ValidationError({"email": ["Whose messages? Give an address."]})
        person = find_by_address(self.organization, email)
        if person is None:
            raise NotFound("There is no subscriber with this address.")
        rows = subscriber_messages(organization=self.organization, subscriber_id=person.pk, limit=MOST_OF_ONE_PERSON)
        return Response({"data": [show_message(row) for row in rows]})
