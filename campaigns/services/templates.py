"""Templates and their versions: a version is never changed, so that what was sent can be told."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.models import Template, TemplateVersion
from campaigns.selectors.content import REGION
from organizations.models import Organization, User

LIMIT_BYTES = 500_000
STARTERS = ("newsletter", "letter")


def create_template(
    *, organization: Organization, name: str, html: str, description: str = "", actor: User | None = None
) -> Template:
    """Create a template with its first version. Raises InvalidInput, or Conflict when the name is taken."""
    name, html = _checked_name(name), _checked_html(html)
    try:
        with transaction.atomic():
            template = Template.objects.create(organization=organization, name=name, description=description[:300])
            TemplateVersion.objects.create(template=template, number=1, html=html, created_by=actor)
    except IntegrityError:
        raise Conflict(_("There is a template called “%(name)s” already.") % {"name": name}) from None
    return template


def save_template(
    *, template: Template, name: str, description: str, html: str, number: int, actor: User | None
) -> TemplateVersion:
    """Save a template on top of the version its author saw; changed HTML makes a new version.

    Raises Conflict when somebody saved a version meanwhile or the name is taken, InvalidInput for what can't be.
    """
    name, html = _checked_name(name), _checked_html(html)
    try:
        with transaction.atomic():
            locked = Template.objects.select_for_update().get(pk=template.pk)
            newest = locked.versions.select_related("created_by").first()
            if newest is not None and newest.number != number:
                raise Conflict(_("%(who)s saved another version meanwhile. Look at it first.") % {"who": _who(newest)})
            locked.name, locked.description = name, description.strip()[:300]
            locked.save(update_fields=["name", "description", "updated_at"])
            if newest is not None and newest.html == html:
                return newest
            return TemplateVersion.objects.create(template=locked, number=number + 1, html=html, created_by=actor)
    except IntegrityError:
        raise Conflict(_("There is a template called “%(name)s” already.") % {"name": name}) from None


def restore_version(*, version: TemplateVersion, actor: User | None) -> TemplateVersion:
    """Make an old version the newest again, as a new one."""
    with transaction.atomic():
        template = Template.objects.select_for_update().get(pk=version.template_id)
        newest = template.versions.first()
        number = newest.number + 1 if newest else 1
        return TemplateVersion.objects.create(template=template, number=number, html=version.html, created_by=actor)


def set_template_archived(*, template: Template, is_archived: bool) -> Template:
    """Take a template out of the choices, or put it back. Campaigns that use it keep it."""
    Template.objects.filter(pk=template.pk).update(is_archived=is_archived)
    template.is_archived = is_archived
    return template


def ensure_starters(organization: Organization) -> list[Template]:
    """Give an organization the starter templates it does not have yet."""
    with override(organization.locale):
        names = {
            "newsletter": (_("Newsletter"), _("Header, pictures, articles, buttons and a full footer.")),
            "letter": (_("Letter"), _("A plain personal letter.")),
        }
    templates = []
    for key in STARTERS:
        name, description = names[key]
        existing = Template.objects.for_organization(organization).filter(name=name).first()
        templates.append(
            existing
            or create_template(organization=organization, name=name, description=description, html=starter_html(key))
        )
    return templates


def starter_html(key: str) -> str:
    """The HTML of a starter."""
    return (Path(settings.BASE_DIR) / "templates" / "emails" / f"{key}.html").read_text(encoding="utf-8")


def _who(version: TemplateVersion) -> str:
    return str(version.created_by) if version.created_by else _("Somebody")


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise InvalidInput(_("Give the template a name."))
    return name[:120]


def _checked_html(html: str) -> str:
    html = html.replace("\r\n", "\n")
    if len(html.encode()) > LIMIT_BYTES:
        raise InvalidInput(_("A template may have at most %(n)s KB.") % {"n": LIMIT_BYTES // 1000})
    regions = len(REGION.findall(html))
    if regions != 1:
        raise InvalidInput(
            _("Write {{ content }} exactly once, where the campaign goes. It is there %(n)s times.") % {"n": regions}
            if regions
            else _("Write {{ content }} where the campaign goes.")
        )
    return html
