from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from amazonsender.core.errors import DomainError, InvalidInput
from organizations.access import access
from organizations.admin.base import OrganizationAdmin
from organizations.admin.pages import admin_page, render_page, row_of
from organizations.requests import allowed, organization_of, user_of
from organizations.templatetags.ui import moment
from subscribers.addresses import find_key, readable
from subscribers.admin.forms import SuppressionForm
from subscribers.models import Subscriber, Suppression, SuppressionReason
from subscribers.services.suppressing import lift_suppression, suppress_by_hand

# How events note the message that an address bounced or complained about.
_MESSAGE: Final = re.compile(r"message:(?P<mailout>[0-9]+)/(?P<n>[0-9]+)")
_BOUNCES: Final = (SuppressionReason.HARD_BOUNCE, SuppressionReason.SOFT_BOUNCE, SuppressionReason.INVALID)


class ReasonFilter(admin.SimpleListFilter):
    """Entries of one reason."""

    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in SuppressionReason.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> QuerySet[Suppression]:
        return queryset.filter(reason=self.value()) if self.value() in SuppressionReason.values else queryset


@admin.register(Suppression)
class SuppressionAdmin(OrganizationAdmin):
    """Addresses that get nothing, and why."""

    resource = "suppression"
    list_display = ("address", "reason", "what_is_stopped", "since", "until")
    add_label = gettext_lazy("Add an address")
    empty_title = gettext_lazy("Nobody is stopped")
    empty_text = gettext_lazy("Who unsubscribes, bounces or complains comes here by itself, and gets nothing more.")
    headline = gettext_lazy("Who gets nothing, and why.")
    list_filter = (ReasonFilter,)
    list_select_related = ("list",)
    search_fields: ClassVar[tuple[str, ...]] = ("address_key",)
    search_help_text = gettext_lazy("The start of an address")
    ordering = ("-id",)
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        term = search_term.strip()
        return queryset.filter(address_key__startswith=find_key(term) or term.lower()), False

    @admin.display(description=gettext_lazy("address"))
    def address(self, entry: Suppression) -> str:
        return readable(entry.address_key)

    @admin.display(description=gettext_lazy("what is stopped"))
    def what_is_stopped(self, entry: Suppression) -> str:
        return entry.list.name if entry.list else str(entry.get_scope_display())

    @admin.display(description=gettext_lazy("since"))
    def since(self, entry: Suppression) -> str:
        return moment(entry.created_at)

    @admin.display(description=gettext_lazy("until"))
    def until(self, entry: Suppression) -> str:
        return moment(entry.expires_at) if entry.expires_at else _("for good")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return redirect("admin:suppression_add")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return _suppression_page(request, object_id)


def _suppression_page(request: HttpRequest, pk: str) -> HttpResponse:
    """Say why an address gets nothing, and what may be done about it."""
    entry = row_of(request, Suppression.objects.select_related("list"), pk=pk, permission="suppression:view")
    person = Subscriber.objects.for_organization(organization_of(request)).filter(address_key=entry.address_key).first()
    return render_page(
        request,
        "subscribers/suppression.html",
        title=_("Suppression"),
        entry=entry,
        address=readable(entry.address_key),
        source=_source(entry),
        message_link=_message_link(entry),
        asked_to_leave=entry.reason == SuppressionReason.UNSUBSCRIBE,
        has_bounced=entry.reason in _BOUNCES,
        person=person,
        is_liftable=entry.reason != SuppressionReason.COMPLAINT and allowed(request, "suppression:edit"),
    )


def _source(entry: Suppression) -> str:
    """Where an entry came from, in words; empty where a link to its message says it."""
    if _MESSAGE.fullmatch(entry.source):
        return ""
    return _("The provider’s report") if entry.source == "provider" else entry.source


def _message_link(entry: Suppression) -> str:
    found = _MESSAGE.fullmatch(entry.source)
    return reverse("admin:message", args=[int(found["mailout"]), int(found["n"])]) if found else ""


@admin_page("suppressed/add/", name="suppression_add", permission="suppression:edit")
def suppression_add(request: HttpRequest) -> HttpResponse:
    """Add an address by hand."""
    organization = organization_of(request)
    initial = {"email": request.GET.get("email", "")}
    form = SuppressionForm(request.POST or None, organization=organization, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            suppress_by_hand(
                organization=organization,
                email=data["email"],
                scope=data["scope"],
                note=data["note"],
                list_id=data["list"].pk if data["list"] else None,
                actor=user_of(request),
            )
        except InvalidInput as error:
            form.add_error("list" if data["scope"] == "list" and not data["list"] else "email", str(error))
        else:
            messages.success(request, _("Nothing goes to %(email)s any more.") % {"email": data["email"]})
            return redirect("admin:subscribers_suppression_changelist")
    return render_page(request, "subscribers/suppression_add.html", title=_("Never mail an address"), form=form)


@admin_page("suppressed/<int:pk>/lift/", name="suppression_lift", permission="suppression:edit")
@require_POST
def suppression_lift(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an address off the list."""
    entry = access(Suppression.objects, organization=organization_of(request), pk=pk)
    try:
        lift_suppression(suppression=entry, actor=user_of(request))
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(email)s is off the list.") % {"email": readable(entry.address_key)})
    return redirect("admin:subscribers_suppression_changelist")
