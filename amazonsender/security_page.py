"""docs/security.md: what is guarded and how, with its tables made from the code that enforces them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.conf import settings

from amazonsender.core.env import Variable
from amazonsender.core.middleware import PERMISSIONS_POLICY
from amazonsender.limits import LIMITS, NOWHERE, ROOT, Counted
from organizations.models import Role
from organizations.permissions import API_SCOPES, PERMISSIONS

HEADERS: Final = {
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY + "; `no-referrer` on readers' pages",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": settings.X_FRAME_OPTIONS,
    "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
    "Strict-Transport-Security": "`HSTS_SECONDS`, a year unless set otherwise; with the production settings",
}

TEXT: Final = """# Security

What is guarded, and how. Tables are written by `manage.py settings_reference` from the code that enforces them; a test
fails when they are out of date. Found a hole? [SECURITY.md](../SECURITY.md) says how to report it, and what isn't
protected.

## Threat by threat

| threat | what stands against it |
|---|---|
| one organization sees another's people | every read starts at `for_organization`; outsiders get 404; [a test](../tests/organizations/test_wall.py) walks every route as a stranger |
| a member does what the role doesn't allow | [one table](#who-may-do-what), asked by pages and API alike |
| guessed passwords, links, keys | throttled by address; links work once and for a day, to a new password for an hour; keys and invitations are stored as hashes |
| finding out who has an account | the page for forgotten passwords answers alike for every address; a mailbox gets three links an hour |
| a poisoned `Host` header | links in letters lead to `PUBLIC_URL`, never to what a request says |
| a read of the letters that wait | bodies are sealed with `SECRET_KEY`, and erased when the letter is over |
| forged or repeated events | signature, certificate address and topic are checked before anything is stored; a repeat counts once ([decision 5](adr/0005-own-events-endpoint.md)) |
| forged links, open redirects | tokens are ids with a MAC ([decision 8](adr/0008-tokens.md)); redirects go only to addresses stored with the email |
| a scanner that opens links unsubscribes people | GET changes nothing |
| scripts in emails and templates | sandboxed frames, and [a policy](#content-security-policy) without `unsafe-inline` or `unsafe-eval` for scripts |
| a forged form | Django's CSRF tokens, `SameSite=Lax`, `__Host-` cookies with the production settings |
| floods | [limits](#how-often-one-may-ask); a body is read up to its endpoint's bound and refused with 413 above it |
| slow requests | headers have 10 seconds; bodies 20, or longer while 4 KB a second come in, in threads that only wait, 24 at most ([how](operations.md)); a proxy in front that reads requests whole, as nginx does by default, takes it off the web process |
| an invented client address | only what `TRUSTED_PROXIES` proxies appended counts, from `TRUSTED_PROXY_NETWORKS` where set, in the one header that `PROXY_HEADER` names |
| logs and error reports that give people away | ids rather than addresses; secrets, contents and what looks like an address are blanked, also in tracebacks |
| figures for strangers | `/metrics` doesn't exist without its token or network |
| a copied or restored database mails everybody again | it sends nothing until [somebody confirms](operations.md#backups-copies-and-confirm_home) |

## What is stored

Addresses, names and fields of subscribers with their consent records; what happened to each message; readers' networks
(203.0.113.0, 2001:db8:1::), never their whole addresses. Raw events are deleted when processed; those that could not be
read stay in `delivery_inbox_dead`. Passwords and API keys are hashes. Secrets of sending accounts are sealed with
`SECRET_KEY`; Amazon's keys are never in the database.

## Keys and how to change them

| key | guards | to change it |
|---|---|---|
| `SECRET_KEY` | sessions, forms, sealed secrets | put the old one into `SECRET_KEY_FALLBACKS`, restart |
| `TOKEN_KEYS` | tokens in sent mail | put a new one in front and keep the old ones for years |
| API keys | the API | make a new one in the admin, then close the old one |
| provider credentials | sending | Amazon's chain, or the account's page |
| `METRICS_TOKEN` | `/metrics` | set another, restart, tell Prometheus |
"""


def render_security(variables: Iterable[Variable]) -> str:
    """Render the page."""
    secrets = ", ".join(f"`{variable.name}`" for variable in variables if variable.secret)
    return "\n".join(
        [
            f"{TEXT}\nSettings that are secret, each also as a file by `NAME_FILE`: {secrets}.\n",
            "## Who may do what\n",
            _permissions(),
            "## How often one may ask\n",
            "By client address (IPv6: its /64). More gets 429 and `Retry-After`. Without the cache everybody passes: a reader"
            "\nmust be able to unsubscribe. Where Amazon and readers ask, only refusals count, so that they never meet a limit.\n",
            _limits(),
            "## Headers\n",
            "| header | value |\n|---|---|\n" + "".join(f"| `{name}` | {value} |\n" for name, value in HEADERS.items()),
            "## Content security policy\n",
            "The admin's and all pages' unless a view sets a stricter one, as that of an email in the browser does.\n",
            "| directive | sources |\n|---|---|\n"
            + "".join(
                f"| `{name}` | `{' '.join(sources)}` |\n"
                for name, sources in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items()
            ),
        ]
    )


def _permissions() -> str:
    roles = list(Role)
    table = f"| permission | {' | '.join(role.value for role in roles)} | API key |\n|---|{'---|' * (len(roles) + 1)}\n"
    for name, allowed in PERMISSIONS.items():
        marks = ["yes" if role in allowed else "" for role in roles]
        table += f"| `{name}` | {' | '.join([*marks, 'with the scope' if name in API_SCOPES else ''])} |\n"
    return table


def _limits() -> str:
    table = "| routes | limit | counted | why |\n|---|---|---|---|\n"
    for limit in (*LIMITS, ROOT, NOWHERE):
        prefix = limit.prefix.removeprefix("^")
        shown = prefix if prefix.startswith("(") else f"`/{prefix}`"
        rate = limit.rate if limit.counted is not Counted.OWN or "/" in limit.rate else f"`{limit.rate}`"
        table += f"| {shown} | {rate} | {limit.counted.value} | {limit.why} |\n"
    return table
