from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.access import access
from organizations.admin.base import OrganizationAdmin
from organizations.admin.pages import admin_page, render_page, row_of
from organizations.requests import allowed, organization_of, user_of
from organizations.templatetags.ui import moment, n
from subscribers.admin.forms import ListForm
from subscribers.models import List
from subscribers.selectors.lists import count_subscribed
from subscribers.services.lists import create_list, delete_list, list_users, update_list


@admin.register(List)
class ListAdmin(OrganizationAdmin):
    """The lists with how many people are on them."""

    resource = "list"
    list_display = ("name", "people", "is_offered", "added")
    add_label = gettext_lazy("New list")
    empty_title = gettext_lazy("No list yet")
    empty_text = gettext_lazy("A list is a topic, such as the newsletter. A campaign goes to the people on its lists.")
    headline = gettext_lazy("What people can opt in to.")
    search_fields: ClassVar[tuple[str, ...]] = ("name__istartswith",)
    search_help_text = gettext_lazy("The start of a name")
    ordering = ("name",)
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[List]:
        queryset: QuerySet[List] = super().get_queryset(request)
        return queryset

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Count the people of the page's lists in one query."""
        changelist = super().get_changelist_instance(request)
        counts = count_subscribed(one.pk for one in changelist.result_list)
        for one in changelist.result_list:
            one.people = counts[one.pk]
        return changelist

    @admin.display(description=gettext_lazy("people"))
    def people(self, one: Any) -> str:
        return n(one.people)

    @admin.display(description=gettext_lazy("on the preference page"))
    def is_offered(self, one: List) -> str:
        return _("offered") if one.is_public else _("hidden")

    @admin.display(description=gettext_lazy("added"))
    def added(self, one: List) -> str:
        return moment(one.created_at)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return _list_form(request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return _list_form(request, row_of(request, List.objects, pk=object_id, permission="list:view"))


def _list_form(request: HttpRequest, found: List | None) -> HttpResponse:
    is_editable = allowed(request, "list:edit")
    if not is_editable and (found is None or request.method == "POST"):
        raise PermissionDenied
    organization = organization_of(request)
    form = ListForm(request.POST or None, instance=found or List(organization=organization))
    if request.method == "POST" and form.is_valid():
        try:
            if found is None:
                found = create_list(organization=organization, **form.cleaned_data)
            else:
                update_list(mailing_list=found, **form.cleaned_data)
        except (Conflict, InvalidInput) as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("admin:subscribers_list_changelist")
    if not is_editable:
        for field in form.fields.values():
            field.disabled = True
    return render_page(
        request,
        "subscribers/list.html",
        title=found.name if found else _("Add a list"),
        form=form,
        mailing_list=found,
        people=count_subscribed([found.pk])[found.pk] if found else 0,
        users=list_users(mailing_list=found) if found else [],
        is_editable=is_editable,
    )


@admin_page("audience-lists/<int:pk>/delete/", name="list_delete", permission="list:edit")
@require_POST
def list_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a list unless something is going to use it."""
    found = access(List.objects, organization=organization_of(request), pk=pk)
    try:
        delete_list(mailing_list=found, actor=user_of(request))
    except Conflict as error:
        messages.error(request, str(error))
        return redirect("admin:subscribers_list_change", found.pk)
    messages.success(request, _("“%(name)s” is deleted. The people stay.") % {"name": found.name})
    return redirect("admin:subscribers_list_changelist")
