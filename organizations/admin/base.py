"""The base of every ModelAdmin: one organization at a time, our permissions, no counting of millions."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.admin import ShowFacets
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from organizations.admin.forms import ModelForm
from organizations.admin.pagination import CappedPaginator
from organizations.models import Organization, User
from organizations.permissions import PERMISSIONS
from organizations.requests import allowed, organization_of


class OrganizationForm(ModelForm):
    """Validates a row as one of the organization, which isn't a field: unique constraints hold it, too."""

    organization: ClassVar[Organization]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.organization_id is None:
            self.instance.organization = self.organization

    def _get_validation_exclusions(self) -> set[str]:
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # missing in the stubs
        return exclusions - {"organization"}


class OrganizationAdmin(ModelAdmin):  # type: ignore[misc]  # Unfold is untyped
    """Admin of a model that belongs to an organization.

    `resource` names the rows of the permission table: resource:view opens, resource:edit adds and changes. Rows can't
    be deleted unless `is_deletable`, because deleting goes past the services. `organization_path` leads to the
    organization for models that have it only through a parent.
    """

    resource: ClassVar[str]
    is_deletable: ClassVar[bool] = False
    headline: ClassVar[str | Promise] = ""  # the sentence that the list opens with
    empty_title: ClassVar[str | Promise] = gettext_lazy("Nothing here yet")
    empty_text: ClassVar[str | Promise] = ""
    list_title: ClassVar[str | Promise] = ""  # where people call the rows otherwise than the model does
    organization_path: ClassVar[str] = "organization"

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a count of every filter would read millions of rows
    ordering = ("-pk",)
    list_per_page = 25
    list_max_show_all = 0
    empty_value_display = "–"

    @property
    def media(self) -> forms.Media:
        """Leave out jQuery, which weighs more than all the rest of the page."""
        return forms.Media(js=["admin/js/core.js", "admin/js/actions.js"])

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        queryset: models.QuerySet[Any] = super().get_queryset(request)
        return queryset.filter(**{self.organization_path: organization_of(request).pk})

    def get_urls(self) -> list[URLPattern]:
        """Leave out what nothing leads to: Django's history, the old address of a row, deleting what may not go."""
        info = f"{self.opts.app_label}_{self.opts.model_name}"
        gone = {None, f"{info}_history"} | (set() if self.is_deletable else {f"{info}_delete"})
        return [each for each in super().get_urls() if each.name not in gone]

    # ---- what a role may do --------------------------------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allowed(request, f"{self.resource}:view") and self._is_ours(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may_edit(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_edit(request) and self._is_ours(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.is_deletable and self._may_edit(request) and self._is_ours(request, obj)

    def _may_edit(self, request: HttpRequest) -> bool:
        permission = f"{self.resource}:edit"
        return permission in PERMISSIONS and allowed(request, permission)

    def _is_ours(self, request: HttpRequest, obj: Any) -> bool:
        owner = obj
        for step in self.organization_path.split("__"):
            owner = getattr(owner, step, None)
        return obj is None or owner == organization_of(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if not self.is_deletable:
            actions.pop("delete_selected", None)
        return actions

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """Answer 404 where Django would redirect: a stranger learns nothing, a link that died says so."""
        raise Http404(_("There is no such page, or it is not yours."))

    # ---- forms that can't reach over the wall --------------------------------------------------------------------

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        exclude = list(super().get_exclude(request, obj) or [])
        return [*exclude, "organization"] if self.organization_path == "organization" else exclude

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if self.organization_path != "organization":
            return form
        return type(form.__name__, (OrganizationForm, form), {"organization": organization_of(request)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change and self.organization_path == "organization":
            obj.organization = organization_of(request)
        super().save_model(request, obj, form, change)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = choices_of(db_field, request, kwargs.get("queryset"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = choices_of(db_field, request, kwargs.get("queryset"))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget  # its pop-ups live on jQuery
        return field


def choices_of(db_field: Any, request: HttpRequest, queryset: models.QuerySet[Any] | None) -> models.QuerySet[Any]:
    """Return the rows that a foreign key may point to: those of the organization, its people, or global ones."""
    related: type[models.Model] = db_field.remote_field.model
    rows = related._default_manager.all() if queryset is None else queryset
    organization = organization_of(request)
    if related is Organization:
        return rows.filter(pk=organization.pk)
    if related is User:
        return rows.filter(memberships__organization=organization)
    try:
        related._meta.get_field("organization")
    except FieldDoesNotExist:
        return rows
    return rows.filter(organization=organization)
