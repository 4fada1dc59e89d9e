"""The fields that an organization keeps of its people: the list, a form, deleting with the number of values."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.access import access
from organizations.admin.base import OrganizationAdmin
from organizations.admin.pages import admin_page, render_page, row_of
from organizations.requests import allowed, organization_of, user_of
from organizations.templatetags.ui import n
from subscribers.admin.forms import AttributeForm
from subscribers.models import AttributeDefinition
from subscribers.services.attributes import create_attribute, delete_attribute, update_attribute


@admin.register(AttributeDefinition)
class AttributeAdmin(OrganizationAdmin):
    """Typed fields. Key and type stay what they are: values of the old type would lie about."""

    resource = "subscriber"
    headline = gettext_lazy("What you keep of each person.")
    empty_title = gettext_lazy("No fields yet")
    empty_text = gettext_lazy("Beside name and address, such as a city or points. An import makes them for you.")
    list_title = gettext_lazy("Fields")
    add_label = gettext_lazy("New field")
    list_display = ("__str__", "key", "type")
    sortable_by: ClassVar[tuple[str, ...]] = ()
    ordering = ("id",)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return _attribute_form(request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = row_of(request, AttributeDefinition.objects, pk=object_id, permission="subscriber:view")
        return _attribute_form(request, found)


def _attribute_form(request: HttpRequest, found: AttributeDefinition | None) -> HttpResponse:
    is_editable = allowed(request, "subscriber:edit")
    if not is_editable and (found is None or request.method == "POST"):
        raise PermissionDenied
    form = AttributeForm(request.POST or None, attribute=found)
    if request.method == "POST" and form.is_valid():
        try:
            if found is None:
                create_attribute(organization=organization_of(request), **form.cleaned_data)
            else:
                update_attribute(attribute=found, **form.cleaned_data)
        except (Conflict, InvalidInput) as error:
            form.add_error("key" if found is None else "label", str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("admin:subscribers_attributedefinition_changelist")
    if not is_editable:
        for field in form.fields.values():
            field.disabled = True
    return render_page(
        request,
        "subscribers/attribute.html",
        title=str(found) if found else _("New field"),
        status=422 if form.errors else 200,
        form=form,
        attribute=found,
        is_editable=is_editable,
    )


@admin_page("fields/<int:pk>/delete/", name="attribute_delete", permission="subscriber:edit")
@require_POST
def attribute_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a field and what it holds of everybody."""
    found = access(AttributeDefinition.objects, organization=organization_of(request), pk=pk)
    people = delete_attribute(attribute=found, actor=user_of(request))
    said = ngettext(
        "“%(name)s” is deleted; %(n)s person had a value.", "“%(name)s” is deleted; %(n)s people had a value.", people
    )
    messages.success(request, said % {"name": found, "n": n(people)})
    return redirect("admin:subscribers_attributedefinition_changelist")
