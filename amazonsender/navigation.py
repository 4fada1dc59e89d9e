"""What the admin's shell shows around every page: navigation, organization switch, files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.dataclasses import SearchResult

from organizations.admin.jump import find_jumps
from organizations.admin.shell import BADGES, current_health
from organizations.models import User
from organizations.requests import allowed, member_of
from organizations.selectors.members import list_organizations


@dataclass(frozen=True)
class Entry:
    """One line of the navigation. It shows where its page exists and the role may see it."""

    title: Promise
    icon: str
    route: str
    permission: str


NAVIGATION: Final[tuple[tuple[Promise | None, tuple[Entry, ...]], ...]] = (
    (
        None,
        (
            Entry(gettext_lazy("Home"), "home", "admin:index", "organization:view"),
            Entry(gettext_lazy("Campaigns"), "send", "admin:campaigns_campaign_changelist", "campaign:view"),
            Entry(gettext_lazy("Templates"), "web", "admin:campaigns_template_changelist", "template:view"),
        ),
    ),
    (
        gettext_lazy("Audience"),
        (
            Entry(gettext_lazy("Subscribers"), "group", "admin:subscribers_subscriber_changelist", "subscriber:view"),
            Entry(gettext_lazy("Lists"), "list_alt", "admin:subscribers_list_changelist", "list:view"),
            Entry(gettext_lazy("Imports"), "upload_file", "admin:imports", "subscriber:import"),
            Entry(
                gettext_lazy("Suppressions"), "block", "admin:subscribers_suppression_changelist", "suppression:view"
            ),
        ),
    ),
    (
        gettext_lazy("Results"),
        (Entry(gettext_lazy("Messages"), "mark_email_read", "admin:messages", "message:view"),),
    ),
    (
        gettext_lazy("Settings"),
        (
            Entry(gettext_lazy("Organization"), "domain", "admin:organization_settings", "organization:view"),
            Entry(gettext_lazy("Team"), "badge", "admin:team", "team:view"),
            Entry(
                gettext_lazy("Sending account"),
                "outgoing_mail",
                "admin:delivery_sendingaccount_changelist",
                "account:view",
            ),
            Entry(gettext_lazy("API keys"), "key", "admin:api_keys", "api_key:view"),
        ),
    ),
)


BOTTOM: Final = (
    "admin:index",
    "admin:campaigns_campaign_changelist",
    "admin:subscribers_subscriber_changelist",
    "admin:messages",
)


def _link(route: str) -> str | None:
    try:
        return reverse(route)
    except NoReverseMatch:
        return None


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the navigation of whoever asks, as Unfold wants it."""
    member = member_of(request)
    home = reverse("admin:index")
    groups = []
    for title, entries in NAVIGATION:
        items = []
        for entry in entries:
            link = _link(entry.route)
            if link is None or not allowed(request, entry.permission):
                continue
            active = request.path == home if link == home else request.path.startswith(link)
            count = BADGES[entry.route](member) if entry.route in BADGES else 0
            items.append({"title": entry.title, "icon": entry.icon, "link": link, "active": active, "count": count})
        if items:
            groups.append({"title": title, "items": items})
    return groups


def bottom_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the four entries of the bar at the bottom of a phone."""
    items = {item["link"]: item for group in sidebar(request) for item in group["items"]}
    return [items[link] for link in map(_link, BOTTOM) if link in items]


def unfold_context(request: HttpRequest) -> dict[str, Any]:
    """Return what our shell needs, and empty what Unfold would print as an inline style."""
    context: dict[str, Any] = {
        "colors": None,
        "border_radius": None,
        "templates": {"navigation": "as/nav.html"},
        "is_dry_run_installation": settings.SENDING_MODE == "dry_run",
        "member": getattr(request, "member", None),
    }
    if context["member"] is not None:
        context |= _member_context(request)
    return context


def _member_context(request: HttpRequest) -> dict[str, Any]:
    member = member_of(request)
    return {
        "organization": member.organization,
        "organizations": list_organizations(member.user),
        "bottom_navigation": bottom_navigation(request),
        "sender_health": current_health(member),
        "user_initials": initials(member.user),
        "own_language_names": User._meta.get_field("language").choices,
    }


def initials(user: User) -> str:
    """Two letters for the mark beside a person's name."""
    letters = (user.first_name[:1] + user.last_name[:1]) or user.email[:1]
    return letters.upper()


def jump_results(request: HttpRequest, term: str) -> list[SearchResult]:
    """Return what Ctrl K finds: pages of the navigation, then rows of the organization."""
    member = getattr(request, "member", None)
    if member is None:
        return []
    pages = [
        SearchResult(title=str(item["title"]), description=_("Page"), link=item["link"], icon=item["icon"])
        for group in sidebar(request)
        for item in group["items"]
        if term in str(item["title"]).lower()
    ]
    rows = [
        SearchResult(title=jump.title, description=jump.description, link=jump.link, icon=jump.icon)
        for jump in find_jumps(member, term)
    ]
    return pages + rows


def style_tokens(request: HttpRequest) -> str:
    return static("as/as.css")


def style_pages(request: HttpRequest) -> str:
    return static("as/pages.css")


def script_theme(request: HttpRequest) -> str:
    return static("as/theme.js")


def script_unfold_csp(request: HttpRequest) -> str:
    return static("as/unfold_csp.js")


def script_components(request: HttpRequest) -> str:
    return static("as/as.js")


def favicon(request: HttpRequest) -> str:
    return static("as/favicon.svg")
