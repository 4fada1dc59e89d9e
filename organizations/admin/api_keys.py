from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from amazonsender.core.errors import Conflict, DomainError
from organizations.admin.pages import admin_page, render_page
from organizations.permissions import API_SCOPES
from organizations.requests import allowed, member_of
from organizations.selectors.api_keys import list_api_keys
from organizations.services.api_keys import create_api_key, revoke_api_key

RESOURCES = {
    "subscriber": gettext_lazy("Subscribers"),
    "list": gettext_lazy("Lists"),
    "suppression": gettext_lazy("Suppressions"),
    "template": gettext_lazy("Templates"),
    "campaign": gettext_lazy("Campaigns"),
    "message": gettext_lazy("Messages"),
}
ACTIONS = {
    "view": gettext_lazy("read"),
    "edit": gettext_lazy("change"),
    "test": gettext_lazy("test"),
    "send": gettext_lazy("send"),
}
LIFETIMES = (
    ("", gettext_lazy("until it is closed")),
    ("30", gettext_lazy("30 days")),
    ("90", gettext_lazy("90 days")),
    ("365", gettext_lazy("a year")),
)


@admin_page("api-keys/", name="api_keys", permission="api_key:view", post_permission="api_key:edit")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def api_keys(request: HttpRequest) -> HttpResponse:
    """The organization's keys; a new one shows its secret here, and nowhere again."""
    member = member_of(request)
    secret, error = "", ""
    if request.method == "POST":
        try:
            _key, secret = create_api_key(
                member=member,
                name=request.POST.get("name", ""),
                scopes=request.POST.getlist("scope"),
                days=int(request.POST["days"]) if request.POST.get("days", "").isdecimal() else None,
            )
        except DomainError as refusal:
            error = str(refusal)
    chosen = set(request.POST.getlist("scope")) if error else set()
    return render_page(
        request,
        "organizations/api_keys.html",
        title=_("API keys"),
        status=400 if error else 200,
        keys=[(key, _words(key.scopes)) for key in list_api_keys(member.organization)],
        groups=_groups(chosen),
        lifetimes=LIFETIMES,
        secret=secret,
        error=error,
        name=request.POST.get("name", "") if error else "",
        is_editable=allowed(request, "api_key:edit"),
    )


@admin_page("api-keys/<int:pk>/close/", name="api_key_close", permission="api_key:edit")
@require_POST
def api_key_close(request: HttpRequest, pk: int) -> HttpResponse:
    """Close a key for good."""
    try:
        key = revoke_api_key(member=member_of(request), pk=pk)
    except Conflict as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("“%(name)s” opens nothing any more.") % {"name": key.name})
    return redirect("admin:api_keys")


def _groups(chosen: set[str]) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Per resource its scopes with their word and whether they are ticked."""
    groups: dict[str, list[tuple[str, str, bool]]] = {}
    for scope in API_SCOPES:
        resource, _colon, action = scope.partition(":")
        groups.setdefault(resource, []).append((scope, str(ACTIONS[action]), scope in chosen))
    return [(str(RESOURCES[resource]), scopes) for resource, scopes in groups.items()]


def _words(scopes: list[str]) -> str:
    """Scopes for people: "Subscribers: read, change; Campaigns: read"."""
    words: dict[str, list[str]] = {}
    for scope in scopes:
        resource, _colon, action = scope.partition(":")
        words.setdefault(resource, []).append(str(ACTIONS.get(action, action)))
    return "; ".join(f"{RESOURCES.get(name, name)}: {', '.join(actions)}" for name, actions in words.items())
