"""Small tags that every page of the admin uses."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

from django import template
from django.utils import formats, timezone, translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

register = template.Library()

PILLS: Final = {
    "draft": "edit",
    "scheduled": "schedule",
    "sending": "send",
    "sent": "done",
    "paused": "pause",
    "cancelled": "block",
    "failed": "error",
    "blocking": "error",
    "advisory": "warning",
    "passed": "check_circle",
    "off": "remove",
}

Number: TypeAlias = int | float | Decimal


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon. Decorative by definition: the words next to it carry the meaning."""
    return format_html('<span class="material-symbols-outlined as-icon {}" aria-hidden="true">{}</span>', classes, name)


@register.filter
def n(value: Number | None) -> str:
    """48213 → 48,213 (en) or 48 213 (ru)."""
    return "" if value is None else formats.number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def pct(value: Number | None, digits: int = 1) -> str:
    """38.5 → 38.5% as the language writes it. Rounded first, because number_format cuts off."""
    if value is None:
        return ""
    number = formats.number_format(round(float(value), digits), decimal_pos=digits, use_l10n=True)
    return f"{number}\u202f%" if translation.get_language() == "ru" else f"{number}%"


@register.filter
def moment(value: datetime.datetime) -> str:
    """A day and an hour, in the organization's time zone."""
    return formats.date_format(timezone.localtime(value), gettext("j M Y, H:i"))


@register.filter
def share(part: Number, whole: Number) -> float:
    """Percent of a part in a whole; 0 of nothing."""
    return round(100 * float(part) / float(whole), 3) if whole else 0.0


@register.inclusion_tag("as/_pill.html")
def pill(state: str, label: str) -> dict[str, Any]:
    """The state of a campaign or message: icon and word, never colour alone."""
    return {"state": state, "label": label, "icon_name": PILLS.get(state, "circle")}


@register.inclusion_tag("as/_account.html")
def account(
    segments: Sequence[Mapping[str, Any]], total: int, total_label: str, opened: bool = False
) -> dict[str, Any]:
    """A bar and a ledger that add up.

    Segments in the order of the bar: {key, label, value, note?, href?, parts?}, parts as (label, value) or
    (label, value, href). Raises ValueError when they don't make the total: such an account is a bug.
    """
    if sum(segment["value"] for segment in segments) != total:
        raise ValueError(f"The segments of “{total_label}” do not make its total.")
    rows = [
        {
            **segment,
            "share": share(segment["value"], total),
            "parts": [_part(part) for part in segment.get("parts", ())],
        }
        for segment in segments
    ]
    return {"segments": rows, "total": total, "total_label": total_label, "opened": opened}


def _part(part: Sequence[Any]) -> dict[str, Any]:
    label, value, *href = part
    return {"label": label, "value": value, "href": href[0] if href else ""}


@register.inclusion_tag("as/_meter.html")
def meter(label: str, value: float, review: float, pause: float, digits: int = 1) -> dict[str, Any]:
    """A rate in percent against the two lines at which Amazon acts."""
    tone = "ok" if value < review / 2 else "warn" if value < review else "stop"
    return {
        "label": label,
        "value": value,
        "review": review,
        "pause": pause,
        "digits": digits,
        "tone": tone,
        "share": min(100.0, share(value, pause)),
        "review_at": share(review, pause),
    }
