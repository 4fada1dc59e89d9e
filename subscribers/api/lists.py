"""/api/v1/lists"""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from organizations.access import access
from organizations.api.views import ApiView, idempotent
from subscribers.models import List
from subscribers.selectors.lists import count_subscribed
from subscribers.services.lists import create_list, delete_list, update_list


class ListSerializer(serializers.Serializer[Any]):
    """A topic people opt in to."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField(help_text="Shown to people on the preference page.")
    is_public = serializers.BooleanField(help_text="Public lists are offered on the preference page.")
    subscribed = serializers.IntegerField(help_text="People on it; may be a minute old.")
    created_at = serializers.DateTimeField()


class ListWriteSerializer(serializers.Serializer[Any]):
    """What can be set."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    is_public = serializers.BooleanField(required=False)


class ListPageSerializer(serializers.Serializer[Any]):
    """A page of lists."""

    data = ListSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


def show_list(one: List, subscribed: int) -> dict[str, Any]:
    return {
        "id": one.pk,
        "name": one.name,
        "description": one.description,
        "is_public": one.is_public,
        "subscribed": subscribed,
        "created_at": one.created_at,
    }


class ListsView(ApiView):
    """All lists."""

    scopes: ClassVar[dict[str, str]] = {"GET": "list:view", "POST": "list:edit"}
    parameters = PAGE_NAMES

    @extend_schema(operation_id="lists_list", tags=["lists"], parameters=PAGE_PARAMETERS, responses=ListPageSerializer)
    def get(self, request: Request) -> Response:
        """List lists, the oldest first."""
        wanted = page_request(request)
        rows = list(
            List.objects.for_organization(self.organization)
            .filter(pk__gt=wanted.after or 0)
            .order_by("pk")[: wanted.limit + 1]
        )
        counts = count_subscribed(row.pk for row in rows)
        return Response(page(rows, wanted, key=lambda row: row.pk, show=lambda row: show_list(row, counts[row.pk])))

    @extend_schema(
        operation_id="lists_create", tags=["lists"], request=ListWriteSerializer, responses={201: ListSerializer}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a list."""
        made = create_list(organization=self.organization, **self.read(ListWriteSerializer))
        return Response(show_list(made, 0), status=201)


class ListView(ApiView):
    """One list."""

    scopes: ClassVar[dict[str, str]] = {"GET": "list:view", "PATCH": "list:edit", "DELETE": "list:edit"}

    @extend_schema(operation_id="lists_get", tags=["lists"], responses=ListSerializer)
    def get(self, request: Request, list_id: int) -> Response:
        """Show a list."""
        return self._shown(access(List.objects, organization=self.organization, pk=list_id))

    @extend_schema(operation_id="lists_update", tags=["lists"], request=ListWriteSerializer, responses=ListSerializer)
    def patch(self, request: Request, list_id: int) -> Response:
        """Change what is given."""
        found = access(List.objects, organization=self.organization, pk=list_id)
        return self._shown(update_list(mailing_list=found, **self.read(ListWriteSerializer, partial=True)))

    @extend_schema(operation_id="lists_delete", tags=["lists"], responses={204: OpenApiResponse(description="Gone.")})
    def delete(self, request: Request, list_id: int) -> Response:
        """Delete a list; the people stay. Refused while a campaign or an import is going to use it."""
        delete_list(mailing_list=access(List.objects, organization=self.organization, pk=list_id))
        return Response(status=204)

    def _shown(self, one: List) -> Response:
        return Response(show_list(one, count_subscribed([one.pk])[one.pk]))
