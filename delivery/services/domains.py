"""The domains of an account's senders: what the provider and DNS say of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import NotFound
from amazonsender.core.loopback import is_loopback
from delivery.domains.checking import look_up
from delivery.domains.lookup import Answer, DnsResolver, Question, Resolver, ServerError, State, are_loopback
from delivery.domains.names import domains_above, is_address, is_reserved
from delivery.domains.wanted import Identity, Record, wanted_records
from delivery.models import SendingAccount, SendingDomain
from delivery.providers.base import ProviderError
from delivery.providers.ses import SesProvider
from delivery.providers.ses.account import NotFoundError
from delivery.services.providers import administration_for

Json = dict[str, Any]

AGAIN_AFTER: Final = datetime.timedelta(seconds=10)
LONGEST_SECONDS: Final = 6.0  # for all look-ups of a domain


class Asks(Protocol):
    """Turns what an answer says, or that there is none, into data."""

    def ask(self, call: Callable[[], Json]) -> Json: ...


def domain_names(account: SendingAccount) -> list[str]:
    """The domains that the account's senders stand in, by name."""
    identities = account.identities.order_by("identity").values_list("identity", flat=True)
    return sorted({identity.rpartition("@")[2] for identity in identities})


def find_domain(*, account: SendingAccount, name: str) -> SendingDomain:
    """One of the account's domains, checked before or not. Raises NotFound for what is none of its senders'."""
    if name not in domain_names(account):
        raise NotFound(_("There is no such domain."))
    known = SendingDomain.objects.filter(account=account, name=name).first()
    return known or SendingDomain(organization_id=account.organization_id, account=account, name=name)


def may_look_up(account: SendingAccount, name: str) -> bool:
    """Whether DNS is asked about a domain of the account.

    Of Local SES's accounts nothing leaves the machine, and of names reserved for examples nobody knows anything: both
    are looked up only where the machine itself is named as the server.
    """
    if are_loopback(settings.DNS_RESOLVERS):
        return True
    return not account.is_local and not is_reserved(name)


class NoResolver:
    """Stands in where DNS_RESOLVERS names something else than servers: nothing is known then."""

    def ask(self, question: Question) -> Answer:
        """Answer that nothing is known."""
        return Answer(State.FAILED)


def make_resolver() -> Resolver:
    """Somebody who knows DNS: the servers of DNS_RESOLVERS, or the machine's."""
    try:
        return DnsResolver(settings.DNS_RESOLVERS)
    except ServerError:
        return NoResolver()


def check_domain(*, account: SendingAccount, name: str, asker: Asks) -> SendingDomain:
    """Ask the provider about the identity that covers the domain, and DNS about its records; keep both."""
    identity = asker.ask(lambda: _identity(administration_for(account), name))
    findings: Json = {}
    if may_look_up(account, name):
        records = records_for(account, name, identity)
        findings = look_up(name, records, make_resolver(), seconds=LONGEST_SECONDS).as_json()
    domain, _made = SendingDomain.objects.update_or_create(
        account=account,
        name=name,
        defaults={
            "organization_id": account.organization_id,
            "identity": identity,
            "findings": findings,
            "checked_at": timezone.now(),
        },
    )
    return domain


def is_due(domain: SendingDomain) -> bool:
    """Whether a domain may be looked at again: once in ten seconds, whoever asks; saying yes takes the turn."""
    if domain._state.adding:
        return True
    now = timezone.now()
    due = Q(checked_at=None) | Q(checked_at__lt=now - AGAIN_AFTER)
    return SendingDomain.objects.filter(due, pk=domain.pk).update(checked_at=now) == 1


def identity_from(document: Json) -> Identity:
    """The identity as it was kept; an empty one where the provider has none, or did not tell."""
    found = document.get("details")
    return Identity(**{**found, "dkim_tokens": tuple(found["dkim_tokens"])}) if found else Identity()


def records_for(account: SendingAccount, name: str, identity: Json) -> list[Record]:
    """The records that a domain should have, by what was found of its identity and of the configuration set."""
    return wanted_records(
        name,
        identity_from(identity),
        region=account.region,
        redirect_domain=account.inspection.get("set", {}).get("redirect_domain", ""),
        links_host=_links_host(),
    )


def _links_host() -> str:
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    return "" if is_loopback(settings.PUBLIC_URL) or is_address(host) else host


def _identity(ses: SesProvider, name: str) -> Json:
    """The most specific identity that covers a domain. Raises NotFoundError when there is none."""
    missing: ProviderError | None = None
    for candidate in (name, *domains_above(name)):
        try:
            found = ses.identity_details(candidate)
        except NotFoundError as error:
            missing = missing or error
            continue
        return {
            "details": {
                "name": found.identity,
                "is_verified": found.is_verified,
                "dkim_status": found.dkim_status,
                "is_signing": found.is_signing,
                "dkim_origin": found.dkim_origin,
                "dkim_tokens": list(found.dkim_tokens),
                "dkim_zone": found.dkim_zone,
                "mail_from_domain": found.mail_from_domain,
                "mail_from_status": found.mail_from_status,
                "on_mx_failure": found.on_mx_failure,
            },
            "trouble": found.trouble,
        }
    raise missing or NotFoundError(name)
