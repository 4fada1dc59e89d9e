"""System checks that refuse a dangerous configuration and say what to set.

Those about the environment run everywhere; those marked "on a server" only with the production settings.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings as current_settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's word for it
from django.http.request import validate_host

from amazonsender.core.loopback import is_loopback
from amazonsender.core.system_email import encoded_mailbox

MIN_KEY_LENGTH: Final = 50
MIN_KEY_VARIETY: Final = 5
MIN_TOKEN_KEY_BYTES: Final = 32
MIN_METRICS_TOKEN_LENGTH: Final = 24
PGBOUNCER_PORT: Final = "6432"

# Settings as attributes: Django's, or those of a module that is still being imported.
Findings = Callable[[Any], Iterator[CheckMessage]]
Check = Callable[..., list[CheckMessage]]

_every_check: list[Findings] = []


def configuration_check(findings: Findings) -> Check:
    """Register a generator of findings about the settings that it is given as a system check."""
    _every_check.append(findings)

    def run(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
        return list(findings(current_settings))

    register(run)
    return run


def find_errors(settings: Mapping[str, object], *, without: Collection[str]) -> list[CheckMessage]:
    """List the errors in settings that nothing runs on yet; a check ends where it looks at one of ``without``."""
    known = _KnownSettings({name: value for name, value in settings.items() if name not in without})
    found: list[CheckMessage] = []
    for findings in _every_check:
        try:
            found.extend(finding for finding in findings(known) if isinstance(finding, Error))
        except _UnknownSettingError:
            continue
    return found


class _UnknownSettingError(Exception):
    """A check looked at a setting whose variable is missing or wrong."""


class _KnownSettings:
    def __init__(self, known: Mapping[str, object]) -> None:
        self._known = known

    def __getattr__(self, name: str) -> object:
        try:
            return self._known[name]
        except KeyError:
            raise _UnknownSettingError from None


@configuration_check
def secret_key(settings: Any) -> Iterator[CheckMessage]:
    key = settings.SECRET_KEY
    if len(key) < MIN_KEY_LENGTH or len(set(key)) < MIN_KEY_VARIETY or key.startswith("django-insecure"):
        yield Error(
            "SECRET_KEY is too weak: whoever guesses it signs in as anybody.",
            hint=(
                "Set SECRET_KEY to 50 or more random characters, as from "
                "python -c 'import secrets; print(secrets.token_urlsafe(50))'."
            ),
            id="amazonsender.E001",
        )


@configuration_check
def token_keys(settings: Any) -> Iterator[CheckMessage]:
    numbers: list[str] = []
    for entry in settings.TOKEN_KEYS:
        number, _, secret = entry.partition(":")
        if not number.isdecimal() or not 0 <= int(number) <= 255 or len(_from_hex(secret)) < MIN_TOKEN_KEY_BYTES:
            # The entry itself is a secret, so the message says only which one it is.
            yield _token_error(f"Entry {len(numbers) + 1} of TOKEN_KEYS is not number:hex with 64 or more hex digits.")
        numbers.append(number)
    if not numbers:
        yield _token_error("TOKEN_KEYS is empty, so no link in an email could be signed.")
    if len(set(numbers)) != len(numbers):
        yield _token_error("Two entries of TOKEN_KEYS have the same number.")


def _token_error(message: str) -> Error:
    hint = (
        "Set TOKEN_KEYS to entries such as 1:<64 hex digits>, numbers 0 to 255, the newest first; "
        "python -c 'import secrets; print(secrets.token_hex(32))' makes one."
    )
    return Error(message, hint=hint, id="amazonsender.E002")


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


@configuration_check
def debugging_on_a_server(settings: Any) -> Iterator[CheckMessage]:
    if settings.IS_SERVER and settings.DEBUG:
        yield Error(
            "DEBUG is on: error pages would show settings and people's data to everybody.",
            hint="Unset DEBUG.",
            id="amazonsender.E003",
        )


@configuration_check
def public_url(settings: Any) -> Iterator[CheckMessage]:
    """Links in sent mail can't be mended afterwards."""
    if not settings.IS_SERVER:
        return
    parts = urlsplit(settings.PUBLIC_URL)
    if is_loopback(settings.PUBLIC_URL) or parts.scheme != "https":
        yield Error(
            f"PUBLIC_URL is {settings.PUBLIC_URL}: links in sent mail would lead nowhere or be unencrypted.",
            hint="Set PUBLIC_URL to the https address under which readers reach this server.",
            id="amazonsender.E004",
        )
    elif not validate_host(parts.hostname or "", settings.ALLOWED_HOSTS):
        yield Error(
            f"{parts.hostname} of PUBLIC_URL is not in ALLOWED_HOSTS: every link in sent mail would answer 400.",
            hint=f"Add {parts.hostname} to ALLOWED_HOSTS.",
            id="amazonsender.E006",
        )


@configuration_check
def allowed_hosts(settings: Any) -> Iterator[CheckMessage]:
    if settings.IS_SERVER and ("*" in settings.ALLOWED_HOSTS or not settings.ALLOWED_HOSTS):
        yield Error(
            "ALLOWED_HOSTS admits every host name or none.",
            hint="Set ALLOWED_HOSTS to the host names of this server, separated by commas.",
            id="amazonsender.E005",
        )


@configuration_check
def local_ses_on_a_server(settings: Any) -> Iterator[CheckMessage]:
    if settings.IS_SERVER and settings.LOCALSES_URL:
        yield Error(
            "LOCALSES_URL is set on a server: its certificate would be believed for events about real people.",
            hint="Unset LOCALSES_URL and LOCALSES_CERTIFICATE, or run with the local settings.",
            id="amazonsender.E007",
        )


@configuration_check
def broker_in_memory(settings: Any) -> Iterator[CheckMessage]:
    if settings.IS_SERVER and settings.CELERY_BROKER_URL.startswith("memory"):
        yield Error(
            "CELERY_BROKER_URL is memory://, which reaches no worker.",
            hint="Set CELERY_BROKER_URL to Redis, Valkey, RabbitMQ or SQS.",
            id="amazonsender.E008",
        )


@configuration_check
def pool_behind_pgbouncer(settings: Any) -> Iterator[CheckMessage]:
    database = settings.DATABASES["default"]
    if "pool" in database.get("OPTIONS", {}) and str(database.get("PORT", "")) == PGBOUNCER_PORT:
        yield Warning(
            "DB_POOL is on and DATABASE_URL looks like PgBouncer: two pools, and idle connections in both.",
            hint="Unset DB_POOL.",
            id="amazonsender.W001",
        )


@configuration_check
def metrics_guards(settings: Any) -> Iterator[CheckMessage]:
    networks = []
    for written in settings.METRICS_NETWORKS:
        try:
            networks.append(ipaddress.ip_network(written))
        except ValueError:
            yield Error(
                f"{written} in METRICS_NETWORKS is no network.",
                hint="Write addresses or networks such as 10.0.0.0/8, whose bits behind the prefix are 0.",
                id="amazonsender.E009",
            )
    token = settings.METRICS_TOKEN
    if token and len(token) < MIN_METRICS_TOKEN_LENGTH:
        yield Error(
            "METRICS_TOKEN is short enough to be guessed.",
            hint=f"Set METRICS_TOKEN to {MIN_METRICS_TOKEN_LENGTH} or more random characters.",
            id="amazonsender.E010",
        )
    proxies = settings.TRUSTED_PROXIES
    if settings.IS_SERVER and not token and any(_lets_strangers_in(network, proxies) for network in networks):
        yield Error(
            "METRICS_NETWORKS lets strangers read /metrics: it holds every address, or loopback while TRUSTED_PROXIES is 0, "
            "so that whoever comes through a proxy on this machine counts as local.",
            hint="Set METRICS_TOKEN, name fewer networks, or set TRUSTED_PROXIES.",
            id="amazonsender.E011",
        )


def _lets_strangers_in(network: ipaddress.IPv4Network | ipaddress.IPv6Network, proxies: int) -> bool:
    return network.prefixlen == 0 or (network.is_loopback and not proxies)


@configuration_check
def proxy_networks(settings: Any) -> Iterator[CheckMessage]:
    for written in settings.TRUSTED_PROXY_NETWORKS:
        try:
            ipaddress.ip_network(written)
        except ValueError:
            yield Error(
                f"{written} in TRUSTED_PROXY_NETWORKS is no network.",
                hint="Write addresses or networks such as 10.0.0.0/8, whose bits behind the prefix are 0.",
                id="amazonsender.E012",
            )


@configuration_check
def proxies_before_a_server(settings: Any) -> Iterator[CheckMessage]:
    if settings.IS_SERVER and not settings.TRUSTED_PROXIES:
        yield Warning(
            "TRUSTED_PROXIES is 0: behind a proxy, every reader would share its address and https be taken for http.",
            hint="Set TRUSTED_PROXIES to the number of proxies before the web server; ignore this if there is none.",
            id="amazonsender.W002",
        )


@configuration_check
def own_mail(settings: Any) -> Iterator[CheckMessage]:
    provider = settings.SYSTEM_EMAIL_PROVIDER
    missing = {
        "ses": {"SYSTEM_EMAIL_FROM": settings.SYSTEM_EMAIL_FROM},
        "smtp": {
            "SYSTEM_EMAIL_FROM": settings.SYSTEM_EMAIL_FROM,
            "SYSTEM_EMAIL_SMTP_URL": settings.SYSTEM_EMAIL_SMTP_URL,
        },
        "local": {"LOCALSES_URL": settings.LOCALSES_URL},
    }
    for name, value in missing.get(provider, {}).items():
        if not value:
            yield Error(
                f"SYSTEM_EMAIL_PROVIDER is {provider} and {name} is empty: no invitation would leave.",
                hint=f"Set {name}.",
                id="amazonsender.E013",
            )
    if settings.SYSTEM_EMAIL_FROM and not encoded_mailbox(settings.SYSTEM_EMAIL_FROM):
        yield Error(
            "SYSTEM_EMAIL_FROM is no address.",
            hint="Write it as Example <hello@example.com>; a domain with other letters in its xn-- form.",
            id="amazonsender.E014",
        )
    if settings.IS_SERVER and provider == "console":
        yield Error(
            "SYSTEM_EMAIL_PROVIDER is console: links that sign somebody in would stand in the log.",
            hint="Set SYSTEM_EMAIL_PROVIDER to ses or smtp, or to none.",
            id="amazonsender.E015",
        )
    if settings.IS_SERVER and provider == "none":
        yield Warning(
            "The product's own mail has no way out: nobody can be invited, or get a link to a new password.",
            hint="Set SYSTEM_EMAIL_PROVIDER to ses or smtp, and SYSTEM_EMAIL_FROM.",
            id="amazonsender.W003",
        )
