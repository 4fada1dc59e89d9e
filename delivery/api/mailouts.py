"""/api/v1/mailouts"""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import LARGEST_KEY, PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from delivery.models import Mailout, MailoutKind, MailoutState
from delivery.selectors.mailouts import list_mailouts
from delivery.selectors.progress import mailout_progress
from organizations.access import access
from organizations.api.views import ApiView

STATE_NAMES = MailoutState.values
COUNTS = ("candidates", "sent", "simulated", "failed", "unknown", "excluded", "cancelled", "waiting")


class MailoutSerializer(serializers.Serializer[Any]):
    """One send job."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=MailoutKind.values)
    is_dry_run = serializers.BooleanField()
    state = serializers.ChoiceField(choices=STATE_NAMES)
    state_reason = serializers.CharField(help_text="Why it is paused or waits, `` when it doesn't.")
    candidates = serializers.IntegerField()
    eligible = serializers.IntegerField(help_text="Who was to get it when the audience was frozen.")
    frozen_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class MailoutAccountSerializer(serializers.Serializer[Any]):
    """candidates = sent + simulated + failed + unknown + excluded + cancelled + waiting, always."""

    candidates = serializers.IntegerField()
    sent = serializers.IntegerField()
    simulated = serializers.IntegerField(help_text="Of a dry run.")
    failed = serializers.IntegerField()
    unknown = serializers.IntegerField(help_text="The provider never answered; not sent again by itself.")
    excluded = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    waiting = serializers.IntegerField()


class MailoutDetailSerializer(MailoutSerializer):
    """The same with its account now."""

    account = MailoutAccountSerializer()
    emails_per_second = serializers.FloatField(help_text="Over the last seconds.")
    seconds_left = serializers.FloatField(allow_null=True)
    parked_reason = serializers.CharField(help_text="Why its sending account waits, `` when it doesn't.")
    parked_until = serializers.DateTimeField(allow_null=True)


class MailoutPageSerializer(serializers.Serializer[Any]):
    """A page of mailouts."""

    data = MailoutSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


def show_mailout(mailout: Mailout) -> dict[str, Any]:
    return {
        "id": mailout.pk,
        "name": mailout.name,
        "kind": mailout.kind,
        "is_dry_run": mailout.is_dry_run,
        "state": mailout.state,
        "state_reason": mailout.state_reason,
        "candidates": mailout.candidates,
        "eligible": mailout.eligible,
        "frozen_at": mailout.frozen_at,
        "finished_at": mailout.finished_at,
    }


def show_mailout_detail(mailout: Mailout) -> dict[str, Any]:
    progress = mailout_progress(mailout)
    return show_mailout(mailout) | {
        "account": {name: getattr(progress, name) for name in COUNTS},
        "emails_per_second": round(progress.rate, 1),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left, 1),
        "parked_reason": progress.parked_reason,
        "parked_until": progress.parked_until,
    }


class MailoutsView(ApiView):
    """All, tests and dry runs too."""

    scopes: ClassVar[dict[str, str]] = {"GET": "campaign:view"}
    parameters = PAGE_NAMES

    @extend_schema(
        operation_id="mailouts_list", tags=["mailouts"], parameters=PAGE_PARAMETERS, responses=MailoutPageSerializer
    )
    def get(self, request: Request) -> Response:
        """List mailouts, the newest first."""
        wanted = page_request(request)
        before = min(wanted.after or 0, LARGEST_KEY)
        rows = list_mailouts(self.organization, before=before, limit=wanted.limit + 1).mailouts
        return Response(page(rows, wanted, key=lambda row: row.pk, show=show_mailout))


class MailoutView(ApiView):
    """One."""

    scopes: ClassVar[dict[str, str]] = {"GET": "campaign:view"}

    @extend_schema(operation_id="mailouts_get", tags=["mailouts"], responses=MailoutDetailSerializer)
    def get(self, request: Request, mailout_id: int) -> Response:
        """Show a mailout with its account now."""
        return Response(show_mailout_detail(access(Mailout.objects, organization=self.organization, pk=mailout_id)))
