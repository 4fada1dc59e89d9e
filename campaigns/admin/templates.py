"""Templates: list, edit with a preview, versions."""

from __future__ import annotations

from pathlib import Path

from django.contrib import messages
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST

from amazonsender.core.errors import DomainError
from campaigns.admin.preview import POLICY, render_preview
from campaigns.admin.wording import when_words
from campaigns.models import Campaign, Template
from campaigns.services.templates import (
    create_template,
    ensure_starters,
    restore_version,
    save_template,
    set_template_archived,
    starter_html,
)
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.models import Organization
from organizations.requests import allowed, organization_of, user_of

EXAMPLE = (Path(__file__).parent / "template_example.html").read_text(encoding="utf-8")


@admin_page("templates/", name="campaigns_template_changelist", permission="template:view")
def templates(request: HttpRequest) -> HttpResponse:
    """The layouts to choose from."""
    organization = organization_of(request)
    if not Template.objects.for_organization(organization).exists() and allowed(request, "template:edit"):
        ensure_starters(organization)
    shown = Template.objects.for_organization(organization).annotate(newest=Max("versions__number"))
    is_archive = request.GET.get("archived") == "1"
    return render_page(
        request,
        "campaigns/templates/list.html",
        title=_("Templates"),
        layouts=[
            (template, when_words(template.updated_at))
            for template in shown.filter(is_archived=is_archive).order_by("pk")
        ],
        is_archive=is_archive,
        has_archived=shown.filter(is_archived=True).exists(),
        may_edit=allowed(request, "template:edit"),
        is_fullwidth="1",
    )


@admin_page("templates/new/", name="template_new", permission="template:edit")
@require_POST
def new(request: HttpRequest) -> HttpResponse:
    """Begin another template from the letter."""
    organization = organization_of(request)
    name = _("New template")
    taken = set(Template.objects.for_organization(organization).values_list("name", flat=True))
    number = next(n for n in range(1, 10_000) if (f"{name} {n}" if n > 1 else name) not in taken)
    template = create_template(
        organization=organization,
        name=f"{name} {number}" if number > 1 else name,
        html=starter_html("letter"),
        actor=user_of(request),
    )
    return redirect("admin:campaigns_template_change", pk=template.pk)


@admin_page(
    "templates/<int:pk>/", name="campaigns_template_change", permission="template:view", post_permission="template:edit"
)
def template_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Code beside its preview; saving makes a version."""
    template = _template(request, pk)
    newest = template.versions.select_related("created_by").first()
    values = {
        "name": template.name,
        "description": template.description,
        "html": newest.html if newest else "",
        "number": newest.number if newest else 0,
    }
    refusal = ""
    if request.method == "POST":
        values |= {name: request.POST.get(name, "") for name in ("name", "description", "html")}
        try:
            version = save_template(
                template=template,
                name=str(values["name"]),
                description=str(values["description"]),
                html=str(values["html"]),
                number=_number(request.POST.get("number")),
                actor=user_of(request),
            )
        except DomainError as error:
            refusal = str(error)
        else:
            messages.success(request, _("Saved as version %(n)s.") % {"n": version.number})
            return redirect("admin:campaigns_template_change", pk=pk)
    return render_page(
        request,
        "campaigns/templates/edit.html",
        title=template.name,
        status=422 if refusal else 200,
        layout=template,
        values=values,
        refusal=refusal,
        versions=[
            (v, when_words(v.created_at)) for v in template.versions.select_related("created_by").defer("html")[:20]
        ],
        used_by=Campaign.objects.filter(template=template).count(),
        may_edit=allowed(request, "template:edit"),
        is_fullwidth="1",
    )


@admin_page("templates/<int:pk>/preview/", name="template_preview", permission="template:view")
@xframe_options_sameorigin
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """The template around an example, as an email of its own."""
    template = _template(request, pk)
    version = template.versions.filter(number=_number(request.GET.get("version"))).first() or template.versions.first()
    html = render_preview(
        _example(template.organization, template), None, theme=request.GET.get("theme", ""), version=version
    )
    response = HttpResponse(html)
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    return response


@admin_page("templates/<int:pk>/restore/<int:number>/", name="template_restore", permission="template:edit")
@require_POST
def restore(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Make an old version the newest again."""
    template = _template(request, pk)
    version = template.versions.filter(number=number).first()
    if version is not None:
        made = restore_version(version=version, actor=user_of(request))
        messages.success(
            request, _("Version %(old)s is back, as version %(new)s.") % {"old": number, "new": made.number}
        )
    return redirect("admin:campaigns_template_change", pk=pk)


@admin_page("templates/<int:pk>/archive/", name="template_archive", permission="template:edit")
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take it out of the choices, or put it back."""
    template = _template(request, pk)
    set_template_archived(template=template, is_archived=not template.is_archived)
    said = _("“%(name)s” is archived.") if template.is_archived else _("“%(name)s” can be chosen again.")
    messages.success(request, said % {"name": template.name})
    return redirect("admin:campaigns_template_changelist")


def _example(organization: Organization, template: Template) -> Campaign:
    """An unsaved campaign that shows a template."""
    return Campaign(
        organization=organization,
        template=template,
        name=template.name,
        subject=template.name,
        body=EXAMPLE,
    )


def _template(request: HttpRequest, pk: int) -> Template:
    return access(Template.objects.select_related("organization"), organization=organization_of(request), pk=pk)


def _number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else 0
