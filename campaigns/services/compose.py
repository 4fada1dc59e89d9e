"""Writing a campaign: every save is checked against what others saved meanwhile, and can be taken back."""

from __future__ import annotations

import datetime
from typing import Any, cast

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.models import Campaign, CampaignRevision, CampaignState, ContentFormat, Template
from campaigns.selectors.accounts import accounts_of
from campaigns.selectors.changes import changes_since, describe_changes
from campaigns.services.field_values import (
    FLAG_FIELDS,
    LIST_FIELDS,
    PLAIN_FIELDS,
    REFERENCE_FIELDS,
    TIME_FIELDS,
    Changes,
    checked_changes,
)
from organizations.models import Organization, User
from organizations.services.audit import record
from subscribers.models import List

COALESCE = datetime.timedelta(seconds=60)  # saves of the same fields by the same person become one undo step


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
    name = " ".join(name.split())
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
    checked = checked_changes(campaign, changes)
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
    values: dict[str, Any] = {
        name: getattr(campaign, name) for name in (*PLAIN_FIELDS, *REFERENCE_FIELDS, *FLAG_FIELDS)
    }
    values |= {name: _plain(getattr(campaign, name)) for name in TIME_FIELDS}
    values["list_ids"] = sorted(campaign.lists.values_list("pk", flat=True))
    values["excluded_list_ids"] = sorted(campaign.excluded_lists.values_list("pk", flat=True))
    return values


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
