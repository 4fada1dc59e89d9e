"""Connect accounts of providers whose settings are entered: mail servers, and services through anymail.

What a provider needs is said by its class, so that nothing here knows any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import transaction
from django.utils.translation import gettext as _

from amazonsender.core.errors import Forbidden, InvalidInput
from amazonsender.core.sealing import seal
from delivery.models import SendingAccount
from delivery.providers.base import Limits, Option, PermanentError
from delivery.providers.registry import FACTORIES, create_provider, provider_class
from delivery.services.accounts import check_account, create_account
from delivery.services.providers import options_of
from organizations.models import Organization, User
from organizations.selectors.operators import is_operator
from organizations.services.audit import record


@dataclass(frozen=True, slots=True)
class Connectable:
    """Something that an account may be connected to."""

    provider: str
    variant: str
    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What is entered for an account. values: by option; a secret that is left empty stays as it was."""

    name: str
    rate_limit: float
    day_limit: int | None = None
    values: Mapping[str, str | int | None] = field(default_factory=dict)


def connectables() -> list[Connectable]:
    """Everything that may be connected by entering its settings, by name."""
    found = [
        Connectable(name, variant, _(made.label), made.options)
        for name in FACTORIES
        for variant, made in provider_class(name).variants.items()
    ]
    return sorted(found, key=lambda one: (one.provider, one.label))


def connectable(provider: str, variant: str) -> Connectable:
    """One of them. Raises InvalidInput."""
    for found in connectables():
        if (found.provider, found.variant) == (provider, variant):
            return found
    known = ", ".join(f"{found.provider}:{found.variant}".rstrip(":") for found in connectables())
    raise InvalidInput(
        _("“%(name)s” is nothing to connect; there are: %(known)s.")
        % {"name": f"{provider}:{variant}".rstrip(":"), "known": known}
    )


def connect_account(
    *, organization: Organization, actor: User | None, provider: str, variant: str, settings: AccountSettings
) -> SendingAccount:
    """Make an account from what was entered, and ask the provider. Raises InvalidInput and Forbidden.

    actor: None for the command line. A wrong password is no error here: the account exists and says so.
    """
    _require_operator(actor)
    chosen = connectable(provider, variant)
    options, secrets, limits = _sorted_out(chosen, settings.values, known={})
    with transaction.atomic():
        account = create_account(
            organization=organization,
            actor=actor,
            name=settings.name,
            region="",
            provider=provider,
            variant=variant,
            options=options,
            sealed_options=_sealed(secrets),
            rate_limit=settings.rate_limit,
            day_limit=settings.day_limit,
            max_calls_per_second=limits.calls_per_second,
        )
        record(organization=organization, actor=actor, action="account.created", target=account)
    return check_account(account=account)


def reconnect_account(*, account: SendingAccount, actor: User | None, settings: AccountSettings) -> SendingAccount:
    """Change what was entered for an account, and ask the provider. Raises InvalidInput and Forbidden."""
    _require_operator(actor)
    chosen = connectable(account.provider, account.variant)
    try:
        known = options_of(account)
    except PermanentError:  # sealed with a lost key: whatever is secret has to be entered again
        known = dict(account.options)
    options, secrets, _limits = _sorted_out(chosen, settings.values, known=known)
    account.name = settings.name
    account.rate_limit, account.day_limit = settings.rate_limit, settings.day_limit
    account.options = options
    account.sealed_options = _sealed(secrets)
    fields = ["name", "rate_limit", "day_limit", "options", "sealed_options"]
    with transaction.atomic():
        account.save(update_fields=fields)
        record(
            organization=account.organization,
            actor=actor,
            action="account.changed",
            target=account,
            fields=["name", "rate_limit", "day_limit", *sorted(settings.values)],
        )
    return check_account(account=account)


def _require_operator(actor: User | None) -> None:
    """Whoever names a server makes this installation connect to it: of several organizations none may."""
    if not is_operator(actor):
        raise Forbidden(_("Several organizations share this installation. Ask whoever runs it to do this for you."))


def _sorted_out(
    chosen: Connectable, values: Mapping[str, Any], *, known: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], Limits]:
    """What was entered, as plain and as secret options; the provider's constructor has the last word."""
    unknown = sorted(values.keys() - {option.name for option in chosen.options})
    if unknown:
        names = ", ".join(option.name for option in chosen.options)
        raise InvalidInput(
            _("“%(name)s” is no setting of it; there are: %(known)s.") % {"name": unknown[0], "known": names}
        )
    plain: dict[str, Any] = {}
    secret: dict[str, Any] = {}
    for option in chosen.options:
        value = _value_of(option, values, known)
        if value not in ("", None):
            (secret if option.is_secret else plain)[option.name] = value
    variant = {"variant": chosen.variant} if chosen.variant else {}
    try:
        provider = create_provider(chosen.provider, **variant, **plain, **secret)
    except PermanentError as error:
        raise InvalidInput(str(error)) from error
    provider.close()
    return plain, secret, provider.limits


def _value_of(option: Option, values: Mapping[str, Any], known: Mapping[str, Any]) -> str | int | None:
    value = values.get(option.name)
    if option.is_secret and not value:
        value = known.get(option.name)
    elif option.name not in values:
        value = known.get(option.name, option.default)
    if value in ("", None):
        if option.is_required:
            raise InvalidInput(_("“%(name)s” is missing.") % {"name": _(option.label)})
        return None
    if isinstance(option.default, int):
        try:
            return int(str(value))
        except ValueError as error:
            raise InvalidInput(
                _("“%(value)s” is no whole number for “%(name)s”.") % {"value": value, "name": _(option.label)}
            ) from error
    if option.choices and value not in dict(option.choices):
        known_values = ", ".join(dict(option.choices))
        raise InvalidInput(
            _("“%(value)s” is none of “%(name)s”: %(known)s.")
            % {"value": value, "name": _(option.label), "known": known_values}
        )
    return str(value).strip()


def _sealed(secrets: dict[str, Any]) -> str:
    return seal(orjson.dumps(secrets).decode()) if secrets else ""
