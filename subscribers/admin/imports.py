"""The import in four pages: file, columns, reading, result."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from amazonsender.core.enqueue import enqueue
from amazonsender.core.errors import Conflict, DomainError, InvalidInput
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import organization_of, user_of
from organizations.templatetags.ui import n
from subscribers.admin import wording
from subscribers.admin.columns import column_rows, kind_choices, read_mapping
from subscribers.models import Import, ImportMode, ImportState, List
from subscribers.selectors.imports import export_rejects, import_progress, reject_reasons
from subscribers.services import importing
from subscribers.services.importing.sniffing import DELIMITERS, ENCODINGS
from subscribers.services.lists import create_list
from subscribers.tasks import run_import

_PERMISSION = "subscriber:import"
_SHOWN = 25


def _import_of(request: HttpRequest, pk: int) -> Import:
    rows = Import.objects.select_related("list", "organization", "created_by")
    return access(rows, organization=organization_of(request), pk=pk)


def _steps(current: str) -> list[tuple[str, bool]]:
    names = [("file", _("File")), ("columns", _("Columns")), ("reading", _("Reading")), ("result", _("Result"))]
    return [(label, key == current) for key, label in names]


@admin_page("imports/", name="imports", permission=_PERMISSION)
@require_GET
def imports(request: HttpRequest) -> HttpResponse:
    """List the imports, newest first."""
    rows = Import.objects.for_organization(organization_of(request)).select_related("list", "created_by")
    before = request.GET.get("before", "")
    if before.isdecimal():
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-id")[: _SHOWN + 1])
    older = found[_SHOWN - 1].pk if len(found) > _SHOWN else None
    return render_page(request, "subscribers/imports.html", title=_("Imports"), rows=found[:_SHOWN], older=older)


@admin_page("imports/new/", name="import_new", permission=_PERMISSION)
def import_new(request: HttpRequest) -> HttpResponse:
    """Take a file, or pasted addresses, and go on to the columns."""
    error = ""
    if request.method == "POST":
        try:
            run = _upload(request)
        except InvalidInput as refusal:
            error = str(refusal)
        else:
            return redirect("admin:import_columns", run.pk)
    return render_page(
        request,
        "subscribers/import_file.html",
        title=_("Import"),
        steps=_steps("file"),
        error=error,
        status=422 if error else 200,
    )


def _upload(request: HttpRequest) -> Import:
    upload = request.FILES.get("file")
    pasted = request.POST.get("pasted", "").strip()
    organization, user = organization_of(request), user_of(request)
    if upload is not None:
        name = upload.name or "import.csv"
        return importing.create_import(
            organization=organization, file_name=name, chunks=upload.chunks(), created_by=user
        )
    if not pasted:
        raise InvalidInput(_("Choose a file, or paste addresses."))
    name = _("pasted addresses")
    chunks = [pasted.encode()]
    return importing.create_import(organization=organization, file_name=name, chunks=chunks, created_by=user)


@admin_page("imports/<int:pk>/columns/", name="import_columns", permission=_PERMISSION)
def import_columns(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what was understood of the file; then read it otherwise, try it, or start."""
    run = _import_of(request, pk)
    if run.state != ImportState.UPLOADED:
        return redirect("admin:import", pk)
    error = ""
    if request.method == "POST":
        try:
            if request.POST.get("act") == "reread":
                importing.read_again(
                    run=run,
                    encoding=request.POST.get("encoding", ""),
                    delimiter=request.POST.get("delimiter", ""),
                )
                return redirect("admin:import_columns", pk)
            _configure_and_start(request, run)
        except DomainError as refusal:
            error = str(refusal)
        else:
            return redirect("admin:import", pk)
    return _columns_page(request, run, error)


@transaction.atomic
def _configure_and_start(request: HttpRequest, run: Import) -> None:
    """All of it or nothing: a refusal must not leave the new list behind, which would be in its own way the next time."""
    run.mapping = read_mapping(run.mapping, request.POST)
    importing.configure_import(
        run=run,
        mapping=run.mapping,
        mode=request.POST.get("mode", ""),
        mailing_list=_chosen_list(request),
        consent_text=request.POST.get("consent", ""),
        tags=request.POST.get("tags", "").split(","),
    )
    importing.start_import(run=run, is_dry_run=request.POST.get("act") == "try", actor=user_of(request))
    enqueue(run_import, run.pk)


def _chosen_list(request: HttpRequest) -> List | None:
    organization = organization_of(request)
    name = request.POST.get("new_list", "").strip()
    if name:
        if not request.POST.get("consent", "").strip():
            raise InvalidInput(_("How did they agree? It is kept with every person as proof."))
        return create_list(organization=organization, name=name)
    chosen = request.POST.get("list", "")
    return access(List.objects, organization=organization, pk=chosen) if chosen else None


def _columns_page(request: HttpRequest, run: Import, error: str) -> HttpResponse:
    posted = request.POST
    shape = importing.file_shape(run)
    rows = column_rows(run, shape)
    understood = sum(bool(row.field) for row in rows)
    return render_page(
        request,
        "subscribers/import_columns.html",
        title=_("Import"),
        steps=_steps("columns"),
        run=run,
        rows=rows,
        understood=understood,
        has_addresses=any(row.field == "email" for row in rows),
        encodings={run.encoding: run.encoding.upper()} | {key: _(name) for key, name in ENCODINGS.items()},
        delimiters={key: _(name) for key, name in DELIMITERS.items()},
        kinds=kind_choices(),
        modes=[
            (ImportMode.ADD_AND_UPDATE, _("Add new ones, update the others"), _("An empty cell changes nothing.")),
            (ImportMode.ADD, _("Only add new ones"), _("Those already here stay as they are.")),
            (ImportMode.UPDATE, _("Only update"), _("Rows of people who are not here are set aside.")),
        ],
        mode=posted.get("mode") or run.mode,
        lists=List.objects.for_organization(run.organization).order_by("name"),
        chosen_list=posted.get("list", str(run.list_id or "")),
        new_list=posted.get("new_list", ""),
        consent=posted.get("consent", run.consent_text),
        tags=posted.get("tags", ", ".join(run.tags)),
        error=error,
        status=422 if error else 200,
    )


@admin_page("imports/<int:pk>/", name="import", permission=_PERMISSION)
@require_GET
def import_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the import while it runs, and its account when it is over."""
    run = _import_of(request, pk)
    if run.state == ImportState.UPLOADED:
        return redirect("admin:import_columns", pk)
    progress = import_progress(run)
    if not progress.is_over:
        return render_page(
            request,
            "subscribers/import_progress.html",
            title=_("Import"),
            steps=_steps("reading"),
            run=run,
            progress=progress,
            headline=wording.headline(progress),
            left=wording.time_left(progress),
        )
    people_in = run.created + run.updated + run.unchanged
    return render_page(
        request,
        "subscribers/import_result.html",
        title=_("Import"),
        steps=_steps("result"),
        run=run,
        progress=progress,
        people_in=people_in,
        result=wording.result(run, people_in),
        dropped=wording.dropped_words(run),
        seconds=(run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None,
        reasons=reject_reasons(run),
        kept_out=wording.kept_out_words(run),
        segments=wording.segments(run),
        is_reopenable=run.state == ImportState.FAILED or run.is_dry_run,
    )


@admin_page("imports/<int:pk>/state/", name="import_state", permission=_PERMISSION)
@require_GET
def import_state(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer what the page asks every second."""
    progress = import_progress(_import_of(request, pk))
    return JsonResponse(
        {
            "is_over": progress.is_over,
            "percent": progress.percent,
            "headline": wording.headline(progress),
            "left": wording.time_left(progress),
            "created": n(progress.created),
            "updated": n(progress.updated),
            "rejected": n(progress.rejected),
            "duplicates": n(progress.duplicates),
        },
        headers={"Cache-Control": "no-store"},
    )


@admin_page("imports/<int:pk>/rejects.csv", name="import_rejects", permission=_PERMISSION)
@require_GET
def import_rejects(request: HttpRequest, pk: int) -> HttpResponse:
    """Download the rows that did not come in."""
    run = _import_of(request, pk)
    response = StreamingHttpResponse(export_rejects(run), content_type="text/csv; charset=utf-8")
    stem = slugify(run.file_name.rpartition(".")[0]) or "import"
    response["Content-Disposition"] = f'attachment; filename="{stem}-rejected.csv"'
    return cast(HttpResponse, response)


@admin_page("imports/<int:pk>/stop/", name="import_stop", permission=_PERMISSION)
@require_POST
def import_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the import; what has come in stays."""
    try:
        importing.cancel_import(run=_import_of(request, pk))
    except Conflict as error:
        messages.error(request, str(error))
    return redirect("admin:import", pk)


@admin_page("imports/<int:pk>/again/", name="import_again", permission=_PERMISSION)
@require_POST
def import_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Go back to the columns."""
    try:
        importing.reopen_import(run=_import_of(request, pk))
    except Conflict as error:
        messages.error(request, str(error))
        return redirect("admin:import_new")
    return redirect(reverse("admin:import_columns", args=[pk]))
