"""The inbox: what a newcomer looks at. Plain pages that work without JavaScript."""

from __future__ import annotations

import re
import sqlite3
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from localses import limits, mime, records, store
from localses.config import Settings
from localses.model import Json
from localses.store import StoredMessage

PAGE = 50
COUNTED_FOR_DUPLICATES = 200_000  # with more messages the search would keep the page waiting
HERE = Path(__file__).parent
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
VIEWS = ("html", "text", "headers", "raw", "events")
OUTCOMES = {
    "delivered": ("Delivered", "ok"),
    "delayed": ("Delivered late", "ok"),
    "bounced": ("Bounced", "stop"),
    "soft_bounced": ("Soft bounce", "warn"),
    "complained": ("Complaint", "stop"),
    "suppressed": ("Suppressed", "stop"),
    "rendering_failed": ("Rendering failed", "stop"),
    "rejected": ("Rejected", "stop"),
}
EVENTS = {
    "SEND": "Accepted for sending",
    "DELIVERY": "Delivered",
    "DELIVERY_DELAY": "Delivery delayed",
    "BOUNCE": "Bounced",
    "COMPLAINT": "Complaint",
    "REJECT": "Rejected",
    "RENDERING_FAILURE": "Rendering failed",
    "OPEN": "Open tracked by SES",
    "CLICK": "Click tracked by SES",
    "READ_OPEN": "Reader opens",
    "READ_CLICK": "Reader clicks",
    "READ_UNSUBSCRIBE": "Reader unsubscribes",
    "READ_PREFETCH": "Privacy proxy loads images",
    "READ_SCAN": "Scanner follows links",
}
# An email is somebody else's content: no scripts, and nothing from beyond this machine.
LOCAL = "http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*"
EMAIL_POLICY = (
    f"default-src 'none'; img-src 'self' data: {LOCAL}; style-src 'unsafe-inline' {LOCAL}; font-src data: {LOCAL};"
    " sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def _clock(moment: float) -> str:
    at, now = datetime.fromtimestamp(moment).astimezone(), datetime.now().astimezone()
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%-d %b %Y, %H:%M}"


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")


_pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
_pages.filters.update(clock=_clock, stamp=_stamp, number=_number)
_pages.globals.update(outcomes=OUTCOMES, event_names=EVENTS, views=VIEWS)


def _listing(db: sqlite3.Connection, query: str, before: int | None, after: int | None) -> Json:
    """Return a page of messages, newest first, and where the pages beside it begin."""
    wanted, values = ["1"], []
    if query:
        pattern = "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        wanted.append("(recipient LIKE ? ESCAPE '\\' OR subject LIKE ? ESCAPE '\\')")
        values += [pattern, pattern]
    limit: list[object] = [*values]
    order, bound = "DESC", ""
    if after is not None:
        order, bound = "ASC", " AND id > ?"
        limit.append(after)
    elif before is not None:
        bound = " AND id < ?"
        limit.append(before)
    rows = db.execute(
        "SELECT id, recipient, subject, accepted_at, outcome, reader FROM message"
        f" WHERE {' AND '.join(wanted)}{bound} ORDER BY id {order} LIMIT {PAGE + 1}",
        limit,
    ).fetchall()
    more = len(rows) > PAGE
    items = rows[:PAGE]
    if after is not None:
        items.reverse()
    has_older = more if after is None else True
    has_newer = (before is not None) if after is None else more
    return {
        "items": items,
        "query": query,
        "older": _address(query, "before", items[-1]["id"]) if items and has_older else None,
        "newer": _address(query, "after", items[0]["id"]) if items and has_newer else None,
        "suffix": "?" + urlencode({"q": query}) if query else "",
    }


def _address(query: str, name: str, number: int) -> str:
    return "/?" + urlencode({**({"q": query} if query else {}), name: number})


def list_page(db: sqlite3.Connection, params: dict[str, str], settings: Settings, now: float) -> str:
    """Render the list with the account's state beside it."""
    # Shown by themselves, or nothing that disturbs.
    account = {"max_send_rate", "max_24_hour", "sending_enabled", "enforcement_status", "spread_seconds"}
    default = Settings().as_dict()
    changed = {name: v for name, v in settings.as_dict().items() if name not in account and v != default[name]}
    stats = records.totals(db)
    if stats["accepted"] <= COUNTED_FOR_DUPLICATES:
        stats = records.stats(db)
    return _pages.get_template("inbox.html").render(
        listing=_listing(db, params.get("q", "").strip(), _id(params, "before"), _id(params, "after")),
        stats=stats,
        sent=limits.sent_last_24_hours(db, now),
        settings=settings,
        changed=changed,
        identities=_names(db, "identity"),
        sets=_names(db, "configuration_set"),
        selected=None,
    )


def _id(params: dict[str, str], name: str) -> int | None:
    value = params.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 19 else None


def _names(db: sqlite3.Connection, kind: str) -> list[str]:
    rows = db.execute("SELECT name FROM resource WHERE kind = ? ORDER BY name LIMIT 20", (kind,))
    return [row["name"] for row in rows]


def message_page(db: sqlite3.Connection, number: int, params: dict[str, str]) -> str | None:
    """Render one message in the view that was chosen, or return None when there is none."""
    message = store.message(db, number)
    if message is None:
        return None
    rendered = mime.render(message)
    view = params.get("view", "html" if rendered.html else "text")
    rows = db.execute(
        "SELECT e.kind, e.recipient, e.detail, e.due_at, e.done_at, d.copy_of, d.is_missing FROM event e"
        " LEFT JOIN disturbed_event d ON d.event = e.id WHERE e.message = ? ORDER BY e.due_at, e.id",
        (number,),
    ).fetchall()
    answered, faults = records.faults_of(db, number)
    return _pages.get_template("message.html").render(
        listing=_listing(db, params.get("q", "").strip(), number + 8, None),
        selected=number,
        message=message,
        rendered=rendered,
        raw=mime.as_mime(message).decode("utf-8", "replace") if view == "raw" else "",
        view=view if view in VIEWS else "html",
        phone=params.get("width") == "phone",
        events=[dict(row) for row in rows],
        answered=answered,
        faults=faults,
    )


async def index(request: Request) -> Response:
    """Show the inbox."""
    running = request.app.state.program
    html = await running.read(list_page, dict(request.query_params), running.settings, running.desk.clock())
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": PAGE_POLICY})


async def message(request: Request) -> Response:
    """Show one message."""
    running = request.app.state.program
    number = request.path_params["number"]
    html = await running.read(message_page, number, dict(request.query_params))
    if html is None:
        return _missing()
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": PAGE_POLICY})


async def message_html(request: Request) -> Response:
    """Show the email's own HTML, under a policy that lets it do nothing but be looked at."""
    found = await _load(request)
    if found is None:
        return _missing()
    html = mime.render(found).html
    # Links open beside the inbox: inside the frame they would be stuck in its sandbox. Behind the doctype, since before
    # it anything makes browsers lay the email out as they did in the nineties.
    start = doctype.end() if (doctype := _DOCTYPE.match(html)) else 0
    html = f'{html[:start]}<base target="_blank">{html[start:]}'
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": EMAIL_POLICY})


async def message_raw(request: Request) -> Response:
    """Hand out the email as a file that mail programs open."""
    found = await _load(request)
    if found is None:
        return _missing()
    disposition = f'attachment; filename="{found["message_id"]}.eml"'
    return Response(
        mime.as_mime(found), media_type="message/rfc822", headers={**_HEADERS, "Content-Disposition": disposition}
    )


async def _load(request: Request) -> StoredMessage | None:
    found: StoredMessage | None = await request.app.state.program.read(store.message, request.path_params["number"])
    return found


def _missing() -> Response:
    return PlainTextResponse("There is no such message here.", 404, headers=_HEADERS)
