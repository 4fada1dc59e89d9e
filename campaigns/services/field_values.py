"""What a campaign's fields may hold."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import InvalidInput
from campaigns.models import Campaign, ContentFormat, Template
from campaigns.selectors.accounts import accounts_of
from subscribers.models import List

BODY_LIMIT_BYTES = 1_000_000

PLAIN_FIELDS = ("name", "format", "body", "subject", "preheader", "sender_name", "sender_email", "reply_to")
REFERENCE_FIELDS = ("template_id", "account_id")
TIME_FIELDS = ("scheduled_at", "not_after")
FLAG_FIELDS = ("is_by_local_time",)
LIST_FIELDS = ("list_ids", "excluded_list_ids")
LENGTHS = {"name": 200, "subject": 400, "preheader": 300, "sender_name": 120, "sender_email": 320, "reply_to": 320}
FIELDS = (*PLAIN_FIELDS, *REFERENCE_FIELDS, *TIME_FIELDS, *FLAG_FIELDS, *LIST_FIELDS)


class Changes(TypedDict, total=False):
    """New values of some fields of a campaign."""

    name: str
    format: str
    body: str
    subject: str
    preheader: str
    sender_name: str
    sender_email: str
    reply_to: str
    template_id: int | None
    account_id: int | None
    scheduled_at: datetime.datetime | None
    not_after: datetime.datetime | None
    is_by_local_time: bool
    list_ids: list[int]
    excluded_list_ids: list[int]


def checked_changes(campaign: Campaign, changes: Changes) -> dict[str, Any]:
    """The values as they can be saved. Raises InvalidInput with a sentence for the first that can't be."""
    values: dict[str, Any] = dict(changes)
    unknown = set(values) - set(FIELDS)
    if unknown:
        raise InvalidInput(_("There is no field called %(name)s.") % {"name": sorted(unknown)[0]})
    for name in PLAIN_FIELDS:
        if name in values:
            values[name] = _checked_text(name, str(values[name]))
    for name in LIST_FIELDS:
        if name in values:
            values[name] = _own_lists(campaign, values[name])
    _check_references(campaign, values)
    return values


def _checked_text(name: str, value: str) -> str:
    if name == "body":
        size = len(value.encode())
        if size > BODY_LIMIT_BYTES:
            limit = BODY_LIMIT_BYTES // 1000
            raise InvalidInput(
                _("The content has %(size)s KB, more than the %(limit)s KB that fit.")
                % {"size": size // 1000, "limit": limit}
            )
        return value.replace("\r\n", "\n")
    value = " ".join(value.split())
    if name == "name" and not value:
        raise InvalidInput(_("Give the campaign a name."))
    if name == "format" and value not in ContentFormat.values:
        raise InvalidInput(_("There is no such format."))
    limit = LENGTHS.get(name, 0)
    if limit and len(value) > limit:
        raise InvalidInput(
            ngettext("At most %(n)s character fits.", "At most %(n)s characters fit.", limit) % {"n": limit}
        )
    if name in ("sender_email", "reply_to") and value:
        try:
            validate_email(value)
        except ValidationError:
            raise InvalidInput(_("“%(value)s” is not an email address.") % {"value": value}) from None
    return value


def _own_lists(campaign: Campaign, ids: Iterable[int]) -> list[int]:
    wanted = {int(pk) for pk in ids}
    known = set(List.objects.for_organization(campaign.organization).filter(pk__in=wanted).values_list("pk", flat=True))
    if wanted - known:
        raise InvalidInput(_("One of these lists does not exist any more."))
    return sorted(known)


def _check_references(campaign: Campaign, values: dict[str, Any]) -> None:
    template_id, account_id = values.get("template_id"), values.get("account_id")
    if template_id and not Template.objects.for_organization(campaign.organization).filter(pk=template_id).exists():
        raise InvalidInput(_("This template does not exist any more."))
    if account_id and account_id not in {account.pk for account in accounts_of(campaign.organization)}:
        raise InvalidInput(_("This sending account does not exist any more."))
