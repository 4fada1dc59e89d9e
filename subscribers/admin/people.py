from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from organizations.admin.base import OrganizationAdmin
from organizations.requests import allowed, organization_of
from organizations.templatetags.ui import moment
from subscribers.admin.person import person_page
from subscribers.admin.pills import status_pill
from subscribers.models import List, Subscriber, SubscriberStatus, Subscription, SubscriptionState
from subscribers.selectors.people import search_people


class OnListFilter(admin.SimpleListFilter):
    """People who are on a list."""

    title = _("list")
    parameter_name = "list"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        lists = List.objects.for_organization(organization_of(request)).order_by("name")
        return [(str(pk), name) for pk, name in lists.values_list("id", "name")[:200]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> QuerySet[Subscriber]:
        value = self.value()
        if not value or not value.isdecimal():
            return queryset
        on_it = Subscription.objects.filter(
            list_id=int(value), subscriber=OuterRef("pk"), state=SubscriptionState.SUBSCRIBED
        )
        return queryset.filter(Exists(on_it))


class StatusFilter(admin.SimpleListFilter):
    """People of one status."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in SubscriberStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> QuerySet[Subscriber]:
        return queryset.filter(status=self.value()) if self.value() in SubscriberStatus.values else queryset


@admin.register(Subscriber)
class SubscriberAdmin(OrganizationAdmin):
    """The list of people; a person's page and forms are our own."""

    resource = "subscriber"
    headline = _("Everybody you know, and whether you may mail them.")
    empty_title = _("Nobody yet")
    empty_text = _("Import a CSV file, or add one person at a time.")
    add_label = _("Add a person")
    list_display = ("email", "person_name", "mail_status", "added")
    list_filter = (StatusFilter, OnListFilter)
    search_fields: ClassVar[tuple[str, ...]] = ("address_key",)
    search_help_text = _("The start of an address or of a name")
    ordering = ("-id",)
    sortable_by: ClassVar[tuple[str, ...]] = ()
    change_list_template = "subscribers/people.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        queryset: QuerySet[Subscriber] = super().get_queryset(request).defer("attributes", "tags")
        return queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Subscriber], search_term: str
    ) -> tuple[QuerySet[Subscriber], bool]:
        return search_people(queryset, search_term), False

    @admin.display(description=pgettext_lazy("person", "name"))
    def person_name(self, person: Subscriber) -> str:
        return person.name or self.empty_value_display

    @admin.display(description=_("status"))
    def mail_status(self, person: Subscriber) -> SafeString:
        return status_pill(person)

    @admin.display(description=_("added"))
    def added(self, person: Subscriber) -> str:
        return moment(person.created_at)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may_import = allowed(request, "subscriber:import")
        response: HttpResponse = super().changelist_view(request, {"may_import": may_import} | (extra_context or {}))
        return response

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return redirect("admin:subscriber_add")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return person_page(request, object_id)
