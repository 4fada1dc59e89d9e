"""/api/v1/suppressions"""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import LARGEST_KEY, PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from organizations.access import access
from organizations.api.views import ApiView, idempotent
from subscribers.addresses import canonical
from subscribers.models import Suppression, SuppressionReason, SuppressionScope
from subscribers.services.suppressing import lift_suppression, suppress_by_hand

REASONS = SuppressionReason.values


class SuppressionSerializer(serializers.Serializer[Any]):
    """An address that is not mailed."""

    id = serializers.IntegerField()
    email = serializers.CharField(help_text="The canonical form.")
    scope = serializers.ChoiceField(choices=SuppressionScope.values)
    list_id = serializers.IntegerField(allow_null=True)
    reason = serializers.ChoiceField(choices=REASONS)
    note = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class SuppressionWriteSerializer(serializers.Serializer[Any]):
    """Somebody asked elsewhere not to be mailed."""

    email = serializers.CharField(max_length=320)
    scope = serializers.ChoiceField(choices=SuppressionScope.values, default=SuppressionScope.MARKETING)
    list_id = serializers.IntegerField(required=False, min_value=1, help_text="Where the scope is one list.")
    note = serializers.CharField(required=False, allow_blank=True, max_length=300)


class SuppressionPageSerializer(serializers.Serializer[Any]):
    """A page of suppressions."""

    data = SuppressionSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


def show_suppression(one: Suppression) -> dict[str, Any]:
    return {
        "id": one.pk,
        "email": one.address_key,
        "scope": one.scope,
        "list_id": one.list_id,
        "reason": one.reason,
        "note": one.source,
        "expires_at": one.expires_at,
        "created_at": one.created_at,
    }


class SuppressionsView(ApiView):
    """All of the organization's own."""

    scopes: ClassVar[dict[str, str]] = {"GET": "suppression:view", "POST": "suppression:edit"}
    parameters = PAGE_NAMES | {"email"}

    @extend_schema(
        operation_id="suppressions_list",
        tags=["suppressions"],
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("email", OpenApiTypes.STR, description="Only this address.")],
        responses=SuppressionPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """List suppressions, the newest first."""
        wanted = page_request(request)
        rows = Suppression.objects.for_organization(self.organization).filter(pk__lt=wanted.after or LARGEST_KEY)
        if email := request.query_params.get("email", ""):
            rows = rows.filter(address_key=canonical(email).key)
        found = list(rows.order_by("-pk")[: wanted.limit + 1])
        return Response(page(found, wanted, key=lambda row: row.pk, show=show_suppression))

    @extend_schema(
        operation_id="suppressions_create",
        tags=["suppressions"],
        request=SuppressionWriteSerializer,
        responses={201: SuppressionSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Stop mail to an address, known or not."""
        made = suppress_by_hand(organization=self.organization, actor=None, **self.read(SuppressionWriteSerializer))
        return Response(show_suppression(made), status=201)


class SuppressionView(ApiView):
    """One."""

    scopes: ClassVar[dict[str, str]] = {"GET": "suppression:view", "DELETE": "suppression:edit"}

    @extend_schema(operation_id="suppressions_get", tags=["suppressions"], responses=SuppressionSerializer)
    def get(self, request: Request, suppression_id: int) -> Response:
        """Show a suppression."""
        return Response(
            show_suppression(access(Suppression.objects, organization=self.organization, pk=suppression_id))
        )

    @extend_schema(
        operation_id="suppressions_delete",
        tags=["suppressions"],
        responses={204: OpenApiResponse(description="The address may be mailed again.")},
    )
    def delete(self, request: Request, suppression_id: int) -> Response:
        """Lift a suppression. A complaint can't be lifted."""
        lift_suppression(suppression=access(Suppression.objects, organization=self.organization, pk=suppression_id))
        return Response(status=204)
