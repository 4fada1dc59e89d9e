"""Lists that people opt in to."""

from __future__ import annotations

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import Organization, User
from organizations.services.audit import record
from subscribers.models import ConsentRecord, Import, List, Subscription, Suppression
from subscribers.models.imports import ImportState
from subscribers.values import clean_line

# What belongs to a list and goes with it, or merely remembers it.
_OWN = (Subscription, Suppression, ConsentRecord, Import)
_FINAL_STATES = ("sent", "cancelled", "done", "finished")


def create_list(*, organization: Organization, name: str, description: str = "", is_public: bool = True) -> List:
    """Create a list. Raises Conflict when the name is taken."""
    return _saved(
        List(
            organization=organization,
            name=_checked_name(name),
            description=clean_line(description)[:300],
            is_public=is_public,
        )
    )


def update_list(
    *, mailing_list: List, name: str | None = None, description: str | None = None, is_public: bool | None = None
) -> List:
    """Change what is given. Raises InvalidInput, or Conflict when the name is taken."""
    if name is not None:
        mailing_list.name = _checked_name(name)
    if description is not None:
        mailing_list.description = clean_line(description)[:300]
    if is_public is not None:
        mailing_list.is_public = is_public
    return _saved(mailing_list)


def _checked_name(name: str) -> str:
    title = clean_line(name)
    if not title or len(title) > 120:
        raise InvalidInput(_("A list needs a name of at most 120 characters."))
    return title


def _saved(mailing_list: List) -> List:
    try:
        with transaction.atomic():
            mailing_list.save()
    except IntegrityError:
        raise Conflict(_("There is already a list with this name.")) from None
    return mailing_list


@transaction.atomic
def delete_list(*, mailing_list: List, actor: User | None = None) -> None:
    """Delete a list with its subscriptions. The people stay.

    Raises Conflict while anything still refers to it: an audience that loses its list must never widen.
    """
    locked = List.objects.select_for_update(of=("self",)).select_related("organization").get(pk=mailing_list.pk)
    if Import.objects.filter(
        list=locked, state__in=[ImportState.QUEUED, ImportState.READING, ImportState.MERGING]
    ).exists():
        raise Conflict(_("An import is filling this list right now."))
    users = list_users(mailing_list=locked)
    if users:
        raise Conflict(
            _("“%(list)s” is used by %(users)s. Take it out there first.")
            % {"list": locked.name, "users": ", ".join(users)}
        )
    Subscription.objects.filter(list=locked)._raw_delete(using="default")  # a million rows
    record(organization=locked.organization, actor=actor, action="list.deleted", target=locked, name=locked.name)
    locked.delete()


def list_users(*, mailing_list: List, limit: int = 3) -> list[str]:
    """Name what is going to use the list: rows of other apps that refer to it and aren't over yet.

    The apps above are found by introspection of their foreign and many-to-many keys, since this one must not import
    them. A row whose `state` is final has its audience frozen and doesn't care any more.
    """
    found: list[str] = []
    for relation in List._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ForeignObjectRel) or relation.related_model in _OWN:
            continue
        model = relation.related_model
        if isinstance(model, str) or model._meta.auto_created:
            continue  # the table between two models is seen through its many-to-many field
        rows = model._default_manager.filter(**{relation.field.name: mailing_list})
        if any(field.name == "state" for field in model._meta.get_fields()):
            rows = rows.exclude(state__in=_FINAL_STATES)
        found.extend(f"{model._meta.verbose_name} “{row}”" for row in rows[:limit])
    return found[:limit]
