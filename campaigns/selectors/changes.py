"""Who changed what in a campaign, as sentences."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from campaigns.models import Campaign, CampaignRevision


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
        "is_by_local_time": _("the time"),
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
