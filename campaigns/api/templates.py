"""/api/v1/templates"""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amazonsender.core.api.pages import PAGE_NAMES, PAGE_PARAMETERS, page, page_request
from campaigns.models import Template
from campaigns.services.templates import create_template, save_template, set_template_archived
from organizations.access import access
from organizations.api.views import ApiView, idempotent


class TemplateSerializer(serializers.Serializer[Any]):
    """A reusable layout."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    is_archived = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class TemplateDetailSerializer(TemplateSerializer):
    """The same with its newest version."""

    version = serializers.IntegerField(help_text="The newest; send it back with a change.")
    html = serializers.CharField(help_text="A document with `{{ content }}` where the campaign goes.")


class TemplateCreateSerializer(serializers.Serializer[Any]):
    """A template to be."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    html = serializers.CharField(trim_whitespace=False)


class TemplateChangeSerializer(serializers.Serializer[Any]):
    """What to change; changed HTML makes a new version."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    html = serializers.CharField(trim_whitespace=False, required=False)
    is_archived = serializers.BooleanField(required=False)
    version = serializers.IntegerField(
        min_value=1, required=False, help_text="The version that was seen: refused if somebody saved another since."
    )


class TemplatePageSerializer(serializers.Serializer[Any]):
    """A page of templates."""

    data = TemplateSerializer(many=True)  # type: ignore[assignment]  # a declared field leaves the class
    next_cursor = serializers.CharField(allow_null=True)


def show_template(one: Template) -> dict[str, Any]:
    return {
        "id": one.pk,
        "name": one.name,
        "description": one.description,
        "is_archived": one.is_archived,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }


def show_template_detail(one: Template) -> dict[str, Any]:
    newest = one.versions.first()
    return show_template(one) | {"version": newest.number if newest else 0, "html": newest.html if newest else ""}


class TemplatesView(ApiView):
    """All."""

    scopes: ClassVar[dict[str, str]] = {"GET": "template:view", "POST": "template:edit"}
    parameters = PAGE_NAMES

    @extend_schema(
        operation_id="templates_list", tags=["templates"], parameters=PAGE_PARAMETERS, responses=TemplatePageSerializer
    )
    def get(self, request: Request) -> Response:
        """List templates, the oldest first, archived ones too."""
        wanted = page_request(request)
        rows = Template.objects.for_organization(self.organization).filter(pk__gt=wanted.after or 0)
        found = list(rows.order_by("pk")[: wanted.limit + 1])
        return Response(page(found, wanted, key=lambda row: row.pk, show=show_template))

    @extend_schema(
        operation_id="templates_create",
        tags=["templates"],
        request=TemplateCreateSerializer,
        responses={201: TemplateDetailSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a template."""
        made = create_template(organization=self.organization, **self.read(TemplateCreateSerializer))
        return Response(show_template_detail(made), status=201)


class TemplateView(ApiView):
    """One."""

    scopes: ClassVar[dict[str, str]] = {"GET": "template:view", "PATCH": "template:edit"}

    @extend_schema(operation_id="templates_get", tags=["templates"], responses=TemplateDetailSerializer)
    def get(self, request: Request, template_id: int) -> Response:
        """Show a template with its newest version."""
        return Response(show_template_detail(access(Template.objects, organization=self.organization, pk=template_id)))

    @extend_schema(
        operation_id="templates_update",
        tags=["templates"],
        request=TemplateChangeSerializer,
        responses=TemplateDetailSerializer,
    )
    def patch(self, request: Request, template_id: int) -> Response:
        """Change what is given."""
        template = access(Template.objects, organization=self.organization, pk=template_id)
        given = self.read(TemplateChangeSerializer)
        newest = template.versions.first()
        is_archived = given.pop("is_archived", None)
        number = given.pop("version", newest.number if newest else 0)
        if given:
            kept = {"name": template.name, "description": template.description, "html": newest.html if newest else ""}
            save_template(template=template, number=number, actor=None, **(kept | given))
            template.refresh_from_db()
        if is_archived is not None:
            set_template_archived(template=template, is_archived=is_archived)
        return Response(show_template_detail(template))
