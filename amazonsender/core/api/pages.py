"""Pages of a list by key: stable while rows come and go, and as fast on the last page as on the first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

DEFAULT_LIMIT: Final = 50
LARGEST_LIMIT: Final = 200
LARGEST_KEY: Final = 2**63 - 1

T = TypeVar("T")

PAGE_NAMES: Final = frozenset({"cursor", "limit"})
PAGE_PARAMETERS: Final = [
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next_cursor` of the page before."),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT},
        description="How many at most.",
    ),
]


@dataclass(frozen=True)
class PageRequest:
    """after: the key behind which the page begins, None for the first one."""

    after: int | None
    limit: int


def page_request(request: Request) -> PageRequest:
    """Read `cursor` and `limit`. Raises ValidationError."""
    return PageRequest(_after(request.query_params.get("cursor", "")), _limit(request.query_params.get("limit", "")))


def page(
    rows: Sequence[T], wanted: PageRequest, *, key: Callable[[T], int], show: Callable[[T], Any]
) -> dict[str, Any]:
    """The answer for rows of which one more than `limit` was asked for."""
    shown = rows[: wanted.limit]
    more = len(rows) > wanted.limit
    return {"data": [show(row) for row in shown], "next_cursor": _cursor(key(shown[-1])) if more else None}


def _cursor(key: int) -> str:
    return base64.urlsafe_b64encode(f"k{key}".encode()).rstrip(b"=").decode()


def _after(cursor: str) -> int | None:
    if not cursor:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    digits = text[1:]
    if text[:1] != "k" or not digits.isdecimal() or len(digits) > 19 or int(digits) > LARGEST_KEY:
        raise ValidationError({"cursor": ["This is no cursor of ours. Take next_cursor as it was given."]})
    return int(digits)


def _limit(written: str) -> int:
    if not written:
        return DEFAULT_LIMIT
    if not (written.isascii() and written.isdecimal() and len(written) <= 4 and 1 <= int(written) <= LARGEST_LIMIT):
        raise ValidationError({"limit": [f"A number from 1 to {LARGEST_LIMIT}."]})
    return int(written)
