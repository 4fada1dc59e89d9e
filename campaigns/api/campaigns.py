"""/api/v1/campaigns: composing and looking."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from campaigns.api.serializers import (
    CampaignChangeSerializer,
    CampaignCreateSerializer,
    CampaignDetailSerializer,
    CampaignPageSerializer,
    ReviewSerializer,
    show_campaign,
)
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.content import Composition
from campaigns.selectors.states import in_state
from campaigns.services.compose import create_campaign, save_campaign, snapshot
from campaigns.services.field_values import Changes
from campaigns.services.reviewing import review_campaign
from delivery.api.mailouts import show_mailout_detail
from delivery.compiling import Finding
from organizations.access import access
from organizations.api.views import ApiView, idempotent
from organizations.models import Organization

COMPOSED = (
    "format", "body", "preheader", "template_id", "sender_name", "sender_email", "reply_to", "account_id", "list_ids",
    "excluded_list_ids", "is_by_local_time", "not_after",
)  # fmt: skip


def access_campaign(organization: Organization, pk: int) -> Campaign:
    """The organization's campaign with what its state is read from. Raises NotFound."""
    found = Campaign.objects.select_related("organization", "mailout", "template", "account")
    return access(found, organization=organization, pk=pk)


def show_campaign_detail(campaign: Campaign) -> dict[str, Any]:
    values = snapshot(campaign)
    mailout = campaign.mailout
    return (
        show_campaign(campaign)
        | {name: values[name] for name in COMPOSED}
        | {"mailout": show_mailout_detail(mailout) if mailout is not None else None}
    )


class CampaignsView(ApiView):
    """All that are not archived."""

    scopes: ClassVar[dict[str, str]] = {"GET": "campaign:view", "POST": "campaign:edit"}
    parameters = PAGE_NAMES | {"state"}

    @extend_schema(
        operation_id="campaigns_list",
        tags=["campaigns"],
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("state", OpenApiTypes.STR, enum=CampaignState.values)],
        responses=CampaignPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """List campaigns, the oldest first."""
        wanted = page_request(request)
        state = request.query_params.get("state", "")
        rows: QuerySet[Campaign] = Campaign.objects.for_organization(self.organization).filter(
            is_archived=False, pk__gt=wanted.after or 0
        )
        if state:
            if state not in CampaignState.values:
                raise ValidationError({"state": [f"One of {', '.join(CampaignState.values)}."]})
            rows = in_state(rows, state)
        found = list(rows.select_related("mailout").defer("body").order_by("pk")[: wanted.limit + 1])
        return Response(page(found, wanted, key=lambda row: row.pk, show=show_campaign))

    @extend_schema(
        operation_id="campaigns_create",
        tags=["campaigns"],
        request=CampaignCreateSerializer,
        responses={201: CampaignDetailSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a draft, with the organization's sender where none is given."""
        given = self.read(CampaignCreateSerializer)
        with transaction.atomic():
            made = create_campaign(organization=self.organization, actor=None, name=given.pop("name"))
            changes: Changes = given  # type: ignore[assignment]  # the serializer names the same fields
            made = save_campaign(campaign=made, changes=changes, revision=made.revision, actor=None)
        return Response(show_campaign_detail(made), status=201)


class CampaignView(ApiView):
    """One."""

    scopes: ClassVar[dict[str, str]] = {"GET": "campaign:view", "PATCH": "campaign:edit"}

    @extend_schema(operation_id="campaigns_get", tags=["campaigns"], responses=CampaignDetailSerializer)
    def get(self, request: Request, campaign_id: int) -> Response:
        """Show a campaign, and how it is going."""
        return Response(show_campaign_detail(access_campaign(self.organization, campaign_id)))

    @extend_schema(
        operation_id="campaigns_update",
        tags=["campaigns"],
        request=CampaignChangeSerializer,
        responses=CampaignDetailSerializer,
    )
    def patch(self, request: Request, campaign_id: int) -> Response:
        """Change what is given, as long as it is a draft."""
        campaign = access_campaign(self.organization, campaign_id)
        given = self.read(CampaignChangeSerializer)
        revision = given.pop("revision", campaign.revision)
        changes: Changes = given  # type: ignore[assignment]  # the serializer names the same fields
        saved = save_campaign(campaign=campaign, changes=changes, revision=revision, actor=None)
        return Response(show_campaign_detail(saved))


class ReviewView(ApiView):
    """What would happen."""

    scopes: ClassVar[dict[str, str]] = {"GET": "campaign:view"}

    @extend_schema(operation_id="campaigns_review", tags=["campaigns"], responses=ReviewSerializer)
    def get(self, request: Request, campaign_id: int) -> Response:
        """Say whether it can be sent as it stands, to how many, and what stands against it."""
        campaign = access_campaign(self.organization, campaign_id)
        review = review_campaign(campaign)
        return Response(
            {
                "revision": campaign.revision,
                "is_ready": review.is_clear,
                "reasons": review.reasons,
                "candidates": review.count.candidates,
                "people": review.count.eligible,
                "excluded": {reason.name.lower(): people for reason, people in review.count.by_reason.items()},
                "findings": [_finding(review.content.composition, one) for one in review.content.findings],
            }
        )


def _finding(composition: Composition, finding: Finding) -> dict[str, Any]:
    """A finding at its place in what the author wrote; 0 where it is the template's or has none."""
    line, column = composition.author_place(finding)
    return {
        "code": finding.code,
        "is_blocking": finding.blocking,
        "message": finding.message,
        "part": finding.part,
        "line": line,
        "column": column,
    }
