"""Writing a campaign: every save is checked against what others saved meanwhile, and can be taken back."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, TypedDict, cast

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.models import Campaign, CampaignRevision, CampaignState, ContentFormat, Template
from campaigns.selectors.accounts import accounts_of
from organizations.models import Organization, User
from organizations.services.audit import record
from subscribers.models import List

BODY_LIMIT_BYTES = 1_000_000
COALESCE = datetime.timedelta(seconds=60)  # saves of the same fields by the same person become one undo step

PLAIN_FIELDS = ("name", "format", "body", "subject", "preheader", "sender_name", "sender_email", "reply_to")
REFERENCE_FIELDS = ("template_id", "account_id")
TIME_FIELDS = ("scheduled_at", "not_after")
LIST_FIELDS = ("list_ids", "excluded_list_ids")
LENGTHS = {"name": 200, "subject": 400, "preheader": 300, "sender_name": 120, "sender_email": 320, "reply_to": 320}
FIELDS = (*PLAIN_FIELDS, *REFERENCE_FIELDS, *TIME_FIELDS, *LIST_FIELDS)


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
    list_ids: list[int]
    excluded_list_ids: list[int]


def create_campaign(
    *,
    organization: Organization,
    actor: User | None,
    name: str,
    template: Template | None = None,
    body: str = "",
    content_format: str = ContentFormat.HTML,
) -> Campaign:
    """Create a draft with the organization's sender."""
    name = name.strip()
    if not name:
        raise InvalidInput(_("Give the campaign a name."))
    accounts = accounts_of(organization)
    return Campaign.objects.create(
        organization=organization,
        name=name[:200],
        format=content_format,
        body=body,
        template=template,
        sender_name=organization.sender_name or organization.name,
        sender_email=organization.sender_email,
        reply_to=organization.reply_to,
        account=accounts[0] if len(accounts) == 1 else None,
        created_by=actor,
        updated_by=actor,
    )


def save_campaign(*, campaign: Campaign, changes: Changes, revision: int, actor: User | None) -> Campaign:
    """Save some fields on top of the revision that the author saw.

    Somebody else's save in between is merged when it touched other fields. Raises Conflict naming who changed what
    when it touched the same, or when the campaign can't be edited any more; InvalidInput for a value that can't be.
    """
    checked = _checked(campaign, changes)
    with transaction.atomic():
        current = _locked(campaign)
        before = snapshot(current)
        changed = sorted(name for name, value in checked.items() if _plain(value) != before[name])
        if revision != current.revision:
            _refuse_overlap(current, set(changed), revision)
        if not changed:
            return current
        _remember(current, changed, before, actor)
        _apply(current, checked, changed, actor)
    return current


def undo_last_save(*, campaign: Campaign, actor: User | None) -> Campaign:
    """Put back what the last save changed. Undoing twice brings it forth again. Raises Conflict when there is nothing."""
    with transaction.atomic():
        current = _locked(campaign)
        last = current.revisions.order_by("-revision").first()
        if last is None:
            raise Conflict(_("There is nothing to undo."))
        before = snapshot(current)
        restored = _restorable(current, cast("dict[str, Any]", last.fields))
        changed = sorted(name for name, value in restored.items() if _plain(value) != before[name])
        last.delete()
        _remember(current, changed, before, actor, coalesce=False)
        _apply(current, restored, changed, actor)
    return current


def duplicate_campaign(*, campaign: Campaign, actor: User | None) -> Campaign:
    """Make a new draft with the same content and audience, without its times."""
    with transaction.atomic():
        copy = Campaign(
            organization=campaign.organization,
            name=_("%(name)s, copy") % {"name": campaign.name[:180]},
            created_by=actor,
            updated_by=actor,
        )
        for name in (*PLAIN_FIELDS[1:], *REFERENCE_FIELDS):
            setattr(copy, name, getattr(campaign, name))
        copy.save()
        copy.lists.set(campaign.lists.all())
        copy.excluded_lists.set(campaign.excluded_lists.all())
    return copy


def archive_campaign(*, campaign: Campaign, actor: User | None) -> Campaign:
    """Take a campaign out of the lists; a scheduled one has to be called off first. Raises Conflict."""
    changed = Campaign.objects.filter(pk=campaign.pk, is_archived=False).exclude(state=CampaignState.SCHEDULED)
    if changed.update(is_archived=True, updated_by=actor) == 0:
        raise Conflict(_("A scheduled campaign can't be archived. Call it off first."))
    record(organization=campaign.organization, actor=actor, action="campaign.archived", target=campaign)
    campaign.is_archived = True
    return campaign


def snapshot(campaign: Campaign) -> dict[str, Any]:
    """The values of all fields as JSON can hold them."""
    values: dict[str, Any] = {name: getattr(campaign, name) for name in (*PLAIN_FIELDS, *REFERENCE_FIELDS)}
    values |= {name: _plain(getattr(campaign, name)) for name in TIME_FIELDS}
    values["list_ids"] = sorted(campaign.lists.values_list("pk", flat=True))
    values["excluded_list_ids"] = sorted(campaign.excluded_lists.values_list("pk", flat=True))
    return values


def field_labels(names: Iterable[str]) -> str:
    """Name fields as people call them, for a sentence."""
    labels = {
        "name": _("the name"),
        "format": _("the format"),
        "body": _("the content"),
        "template_id": _("the template"),
        "subject": _("the subject"),
        "preheader": _("the preview text"),
        "sender_name": _("the sender"),
        "sender_email": _("the sender"),
        "reply_to": _("the reply-to address"),
        "account_id": _("the sending account"),
        "list_ids": _("the audience"),
        "excluded_list_ids": _("the audience"),
        "scheduled_at": _("the time"),
        "not_after": _("the time"),
    }
    return ", ".join(dict.fromkeys(labels[name] for name in names if name in labels))


def changes_since(campaign: Campaign, revision: int) -> list[CampaignRevision]:
    """The saves after a revision, oldest first."""
    return list(campaign.revisions.filter(revision__gte=revision).select_related("actor").order_by("revision"))


def describe_changes(saves: list[CampaignRevision]) -> str:
    """Say who changed what: "Alice changed the subject."; the word order names nobody's gender."""
    sentences = []
    for actor, names in _by_actor(saves).items():
        sentences.append(_("%(who)s changed %(what)s.") % {"who": actor, "what": field_labels(sorted(names))})
    return " ".join(sentences)


def _by_actor(saves: list[CampaignRevision]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = {}
    for save in saves:
        grouped.setdefault(str(save.actor) if save.actor else _("Somebody"), set()).update(save.changed)
    return grouped


def _locked(campaign: Campaign) -> Campaign:
    current = Campaign.objects.select_for_update(of=("self",)).select_related("organization").get(pk=campaign.pk)
    if not current.is_editable:
        raise Conflict(
            _("It is scheduled. Call it off to change it.")
            if current.state == CampaignState.SCHEDULED
            else _("It has been sent as it was; duplicate it to change it.")
        )
    return current


def _refuse_overlap(current: Campaign, mine: set[str], revision: int) -> None:
    saves = changes_since(current, revision)
    theirs = {name for save in saves for name in save.changed}
    if revision > current.revision or theirs & mine:
        raise Conflict(describe_changes(saves) or _("Somebody else saved meanwhile. Look again."))


def _remember(
    current: Campaign, changed: list[str], before: dict[str, Any], actor: User | None, *, coalesce: bool = True
) -> None:
    last = current.revisions.order_by("-revision").first() if coalesce else None
    now = timezone.now()
    if last and last.actor_id == (actor and actor.pk) and last.changed == changed and now - last.at < COALESCE:
        # The older values stay: undoing takes back the whole minute of typing.
        CampaignRevision.objects.filter(pk=last.pk).update(revision=current.revision, at=now)
        return
    CampaignRevision.objects.create(
        campaign=current,
        revision=current.revision,
        fields={name: before[name] for name in changed},
        changed=changed,
        actor=actor,
    )


def _apply(current: Campaign, values: dict[str, Any], changed: list[str], actor: User | None) -> None:
    for name in changed:
        if name == "list_ids":
            current.lists.set(values[name])
        elif name == "excluded_list_ids":
            current.excluded_lists.set(values[name])
        else:
            setattr(current, name, values[name])
    current.revision += 1
    current.updated_by = actor
    current.state, current.state_detail = CampaignState.DRAFT, ""
    current.save()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _restorable(current: Campaign, fields: dict[str, Any]) -> dict[str, Any]:
    """What of the remembered values still exists."""
    values = dict(fields)
    for name in TIME_FIELDS:
        if values.get(name):
            values[name] = datetime.datetime.fromisoformat(values[name])
    for name in LIST_FIELDS:
        if name in values:
            known = List.objects.for_organization(current.organization).filter(pk__in=values[name])
            values[name] = sorted(known.values_list("pk", flat=True))
    return values


def _checked(campaign: Campaign, changes: Changes) -> dict[str, Any]:
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
