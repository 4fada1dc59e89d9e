from __future__ import annotations

from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amazonsender.core.errors import DomainError
from amazonsender.core.time_zones import find_zone
from organizations.access import access
from organizations.admin.pages import admin_page, render_page, row_of
from organizations.requests import allowed, organization_of, user_of
from subscribers.admin.forms import PersonForm
from subscribers.models import ConsentRecord, List, Subscriber
from subscribers.selectors.mailability import mailability
from subscribers.selectors.people import attribute_rows, attributes_of, memberships
from subscribers.services.consent import subscribe, unsubscribe
from subscribers.services.subscribers import create_subscriber, delete_subscriber, update_subscriber
from subscribers.timeline import TimelineEvent, person_figures, person_timeline

_KINDS = ("email", "consent", "change")
_FEW, _MANY = 30, 300


def person_page(request: HttpRequest, pk: str) -> HttpResponse:
    """Show whether and why we may mail a person, their lists and fields, and everything that happened."""
    person = row_of(request, Subscriber.objects, pk=pk, permission="subscriber:view")
    kind = request.GET.get("show", "")
    limit = _MANY if "all" in request.GET else _FEW
    events = person_timeline(person, _MANY)
    if kind in _KINDS:
        events = [event for event in events if event.kind == kind]
    rows = memberships(person)
    on = {row.list_id for row in rows if row.is_on}
    others = List.objects.for_organization(person.organization).exclude(pk__in=on).order_by("name")[:100]
    return render_page(
        request,
        "subscribers/person.html",
        title=_("Subscriber"),
        person=person,
        may=mailability(person),
        memberships=rows,
        other_lists=others,
        fields=attribute_rows(person, attributes_of(person.organization)),
        local_time=_local_time(person),
        figures=person_figures(person),
        months=_by_month(events[:limit]),
        more=max(0, len(events) - limit),
        kind=kind,
        is_editable=allowed(request, "subscriber:edit"),
        may_suppress=allowed(request, "suppression:edit"),
    )


def _local_time(person: Subscriber) -> Any:
    zone = find_zone(person.time_zone)
    return timezone.localtime(timezone=zone) if zone else None


def _by_month(events: list[TimelineEvent]) -> list[tuple[Any, list[TimelineEvent]]]:
    def month(event: TimelineEvent) -> tuple[int, int]:
        local = timezone.localtime(event.at)
        return (local.year, local.month)

    return [(found[0].at, found) for found in (list(group) for _key, group in groupby(events, key=month))]


@admin_page("people/add/", name="subscriber_add", permission="subscriber:edit")
def subscriber_add(request: HttpRequest) -> HttpResponse:
    """Add one person by hand."""
    organization = organization_of(request)
    form = PersonForm(request.POST or None, organization=organization)
    if request.method == "POST" and form.is_valid():
        try:
            person = create_subscriber(organization=organization, **form.person_fields())
        except DomainError as error:
            form.add_error(form.field_of(error), str(error))
        else:
            _put_on_list(person, form)
            return redirect("admin:subscribers_subscriber_change", person.pk)
    return render_page(request, "subscribers/person_form.html", title=_("Add a subscriber"), form=form, person=None)


def _put_on_list(person: Subscriber, form: PersonForm) -> None:
    if form.cleaned_data.get("list") is not None:
        subscribe(
            subscriber=person,
            list_id=form.cleaned_data["list"].pk,
            method=ConsentRecord.Method.ADMIN,
            at=timezone.now(),
            text=form.cleaned_data["consent"],
        )


@admin_page("people/<int:pk>/edit/", name="subscriber_edit", permission="subscriber:edit")
def subscriber_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a person's fields."""
    organization = organization_of(request)
    person = access(Subscriber.objects, organization=organization, pk=pk)
    form = PersonForm(request.POST or None, organization=organization, person=person)
    if request.method == "POST" and form.is_valid():
        try:
            update_subscriber(subscriber=person, **form.person_fields())
        except DomainError as error:
            form.add_error(form.field_of(error), str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("admin:subscribers_subscriber_change", person.pk)
    return render_page(request, "subscribers/person_form.html", title=_("Edit a subscriber"), form=form, person=person)


@admin_page("people/<int:pk>/lists/", name="subscriber_lists", permission="subscriber:edit")
@require_POST
def subscriber_lists(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a person on a list, with the way they agreed, or take them off."""
    person = access(Subscriber.objects, organization=organization_of(request), pk=pk)
    chosen = access(List.objects, organization=organization_of(request), pk=request.POST.get("list"))
    now = timezone.now()
    consent = request.POST.get("consent", "").strip()
    method = ConsentRecord.Method.ADMIN
    try:
        if request.POST.get("act") == "off":
            unsubscribe(subscriber=person, list_id=chosen.pk, method=method, at=now, reason=consent)
        elif consent:
            subscribe(subscriber=person, list_id=chosen.pk, method=method, at=now, text=consent)
        else:
            messages.error(request, _("How did they agree? It is kept with the person as proof."))
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("admin:subscribers_subscriber_change", person.pk)


@admin_page("people/<int:pk>/unsubscribe/", name="subscriber_unsubscribe", permission="subscriber:edit")
@require_POST
def subscriber_unsubscribe(request: HttpRequest, pk: int) -> HttpResponse:
    """Unsubscribe a person from everything, because they asked for it elsewhere."""
    person = access(Subscriber.objects, organization=organization_of(request), pk=pk)
    unsubscribe(subscriber=person, list_id=None, method=ConsentRecord.Method.ADMIN, at=timezone.now())
    return redirect("admin:subscribers_subscriber_change", person.pk)


@admin_page("people/<int:pk>/delete/", name="subscriber_delete", permission="subscriber:edit")
@require_POST
def subscriber_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a person; whoever had left stays on the suppression list."""
    person = access(Subscriber.objects, organization=organization_of(request), pk=pk)
    delete_subscriber(subscriber=person, actor=user_of(request))
    messages.success(request, _("Deleted."))
    return redirect("admin:subscribers_subscriber_changelist")
