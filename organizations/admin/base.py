"""The base of every ModelAdmin: one organization at a time, our permissions, no counting of millions."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from organizations.requests import allowed, organization_of


class OrganizationAdmin(ModelAdmin):
    """Admin of a model with an `organization` foreign key."""

    resource: ClassVar[str]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        queryset: models.QuerySet[Any] = super().get_queryset(request)
        return queryset.filter(organization_id=organization_of(request).pk)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(request, f"{self.resource}:view")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return allowed(request, f"{self.resource}:edit")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(request, f"{self.resource}:edit")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(request, f"{self.resource}:edit")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.organization = organization_of(request)
        super().save_model(request, obj, form, change)
