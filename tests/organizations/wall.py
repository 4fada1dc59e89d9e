"""What stands behind the wall: something of acme for every route that names an object.

A route whose parameters aren't listed here fails the wall test. Add its prefix (the longest one that matches counts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from campaigns.models import Campaign, Template, TemplateVersion
from delivery.models import Mailout, SenderIdentity, SendingAccount, SendingDomain
from organizations.models import ApiKey, Invitation, Member, Organization
from subscribers.models import AttributeDefinition, Domain, Import, List, Subscriber, Suppression
from tests.cast import Cast

SECRET: Final = "wallsecret"  # in everything of acme that a page could show


@dataclass(frozen=True)
class Route:
    """One pattern of the whole tree of URLs."""

    pattern: str
    name: str
    parameters: tuple[str, ...]


def list_routes() -> Iterator[Route]:
    """Walk the resolver."""
    yield from _walk(get_resolver(), "", "", ())


def _walk(resolver: URLResolver, prefix: str, namespace: str, parameters: tuple[str, ...]) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        pattern = prefix + str(entry.pattern)
        names = (*parameters, *entry.pattern.regex.groupindex)
        if isinstance(entry, URLPattern):
            yield Route(pattern, namespace + (entry.name or ""), names)
        else:
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry, pattern, inner, names)


def belongings(cast: Cast) -> dict[str, Any]:
    """Give acme one of everything, and return the keys."""
    acme = cast.acme
    Organization.objects.filter(pk=acme.pk).update(postal_address=SECRET, sender_name=SECRET)
    account = SendingAccount.objects.create(organization=acme, name=SECRET, is_local=True)
    SenderIdentity.objects.create(organization=acme, account=account, identity=f"{SECRET}.example")
    SendingDomain.objects.create(organization=acme, account=account, name=f"{SECRET}.example")
    template = Template.objects.create(organization=acme, name=SECRET)
    TemplateVersion.objects.create(template=template, number=1, html=f"{SECRET} {{{{ content }}}}")
    mailing_list = List.objects.create(organization=acme, name=SECRET)
    domain = Domain.objects.create(name=f"{SECRET}.example")
    address = f"ann@{SECRET}.example"
    mailout = Mailout.objects.create(
        id=83_000_001,
        organization=acme,
        account=account,
        kind="campaign",
        lane=2,
        name=SECRET,
        idempotency_key=SECRET,
        sender=f"Acme <news@{SECRET}.example>",
        frozen_at=timezone.now(),
    )
    campaign = Campaign.objects.create(organization=acme, name=SECRET, subject=SECRET, body=SECRET, mailout=mailout)
    return {
        "member": Member.objects.get(user=cast.bob).pk,
        "account": account.pk,
        "template": template.pk,
        "list": mailing_list.pk,
        "subscriber": Subscriber.objects.create(
            organization=acme, email=address, address_key=address, domain=domain, first_name=SECRET
        ).pk,
        "suppression": Suppression.objects.create(organization=acme, address_key=address, source=SECRET).pk,
        "attribute": AttributeDefinition.objects.create(organization=acme, key=SECRET).pk,
        "import": Import.objects.create(organization=acme, file_name=f"{SECRET}.csv", path="nowhere", state="done").pk,
        "mailout": mailout.pk,
        "campaign": campaign.pk,
        "invitation": Invitation.objects.create(
            organization=acme, email=f"new@{SECRET}.example", role="analyst", digest=b"wall", expires_at=timezone.now()
        ).pk,
        "api_key": ApiKey.objects.create(
            organization=acme, name=SECRET, prefix="ask_wall", digest=b"wall", scopes=["list:view"]
        ).pk,
    }


Arguments = Callable[[dict[str, Any]], dict[str, Any]]

SUBJECTS: Final[dict[str, Arguments]] = {
    "admin/team/": lambda of: {"pk": of["member"]},
    "admin/team/invitations/": lambda of: {"pk": of["invitation"]},
    "admin/api-keys/": lambda of: {"pk": of["api_key"]},
    "admin/account/": lambda of: {"pk": of["account"], "name": f"{SECRET}.example"},
    "admin/campaigns/": lambda of: {"pk": of["campaign"], "mailout_id": of["mailout"]},
    "admin/templates/": lambda of: {"pk": of["template"], "number": 1},
    "admin/messages/": lambda of: {"pk": of["mailout"], "n": 1},
    "admin/imports/": lambda of: {"pk": of["import"]},
    "admin/audience-lists/": lambda of: {"pk": of["list"]},
    "admin/people/": lambda of: {"pk": of["subscriber"]},
    "admin/suppressed/": lambda of: {"pk": of["suppression"]},
    "admin/subscribers/list/": lambda of: {"object_id": of["list"], "pk": of["list"]},
    "admin/subscribers/subscriber/": lambda of: {"object_id": of["subscriber"], "pk": of["subscriber"]},
    "admin/subscribers/suppression/": lambda of: {"object_id": of["suppression"], "pk": of["suppression"]},
    "admin/subscribers/attributedefinition/": lambda of: {"object_id": of["attribute"]},
    "admin/fields/": lambda of: {"pk": of["attribute"]},
}

# Doors for everybody: each proves itself in another way, tested where it lives.
PUBLIC: Final = frozenset(
    {
        "",  # leads to /admin/
        "admin:login",
        "admin:jsi18n",  # words of widgets
        "sign_in_link",  # the token is the proof
        "password_forgotten",  # the mailbox is the proof
        "password_new",  # the token is the proof
        "invitation",  # likewise
        "webhook_ses",  # the signature is the proof
    }
)
# Tokens and signatures; and programs with keys, whose own wall is in tests/api.
PUBLIC_PREFIXES: Final = ("^o/", "^c/", "v/", "u/", "p/", "^webhooks/", "api/")


def is_public(route: Route) -> bool:
    """Say whether strangers may come in without an account."""
    if route.pattern.startswith("admin/"):
        return route.name in PUBLIC
    return route.name in PUBLIC or route.pattern.startswith(PUBLIC_PREFIXES)


def arguments_of(route: Route, things: dict[str, Any]) -> dict[str, Any] | None:
    """Return the route's arguments for an object of acme; None where nobody has said which."""
    prefixes = [prefix for prefix in SUBJECTS if route.pattern.startswith(prefix)]
    if not prefixes:
        return None
    known = SUBJECTS[max(prefixes, key=len)](things)
    if not set(route.parameters) <= set(known):
        return None
    return {name: known[name] for name in route.parameters}
