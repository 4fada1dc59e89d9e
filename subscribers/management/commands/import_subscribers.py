from __future__ import annotations

import json
import sys
import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from amazonsender.core.errors import DomainError
from organizations.models import Organization
from subscribers.models import Import, ImportMode, ImportState, List
from subscribers.selectors.imports import import_progress, reject_reasons
from subscribers.services import importing
from subscribers.services.importing.plan import ATTRIBUTE, FIELDS
from subscribers.services.lists import create_list

_BLOCK = 1024 * 1024


class Command(BaseCommand):
    help = "Import people from a CSV file, in this process, with the same engine as the admin."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = (
            "examples:\n"
            "  manage.py import_subscribers people.csv --organization 'Lumen Coffee' --list News \\\n"
            "      --consent 'Signed the form at our stand, 14 November'\n"
            "  manage.py import_subscribers people.csv --organization 1 --mapping 'Ort=attribute:city' --dry-run\n\n"
            f"fields: {', '.join(FIELDS)}, attribute:KEY, attribute:KEY:TYPE, - (leave the column out)\n"
            "Exit code 0: people came in; 1: nobody did, or the import failed."
        )
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, TSV or semicolon-separated text.")
        parser.add_argument("--organization", required=True, help="Name or number of the organization.")
        parser.add_argument("--list", help="Put the people on this list; it is created if there is none.")
        parser.add_argument("--consent", default="", help="How they agreed; asked for with --list, kept as proof.")
        parser.add_argument("--mapping", action="append", default=[], metavar="COLUMN=FIELD", help="May be repeated.")
        parser.add_argument(
            "--mode", choices=ImportMode.values, default=ImportMode.ADD_AND_UPDATE, help="What happens to known people."
        )
        parser.add_argument("--tag", action="append", default=[], help="Tag everybody in the file; may be repeated.")
        parser.add_argument("--encoding", default="", help="Instead of the detected one, such as cp1251.")
        parser.add_argument("--delimiter", default="", help="Instead of the detected one.")
        parser.add_argument("--dry-run", action="store_true", help="Count exactly what would happen, keep nothing.")
        parser.add_argument("--format", choices=("text", "json"), default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = self._prepare(options)
            importing.start_import(run=run, is_dry_run=options["dry_run"])
        except DomainError as error:
            raise CommandError(str(error)) from None
        if options["format"] == "text" and sys.stderr.isatty():
            _run_with_bar(run)
        else:
            importing.run_import(import_id=run.pk)
        run.refresh_from_db()
        self._report(run, options["format"])
        if run.state != ImportState.DONE or not run.created + run.updated + run.unchanged:
            sys.exit(1)

    def _prepare(self, options: dict[str, Any]) -> Import:
        organization = _find_organization(options["organization"])
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        with path.open("rb") as file:
            run = importing.create_import(
                organization=organization, file_name=path.name, chunks=iter(lambda: file.read(_BLOCK), b"")
            )
        if options["encoding"] or options["delimiter"]:
            importing.read_again(run=run, encoding=options["encoding"], delimiter=options["delimiter"])
        with transaction.atomic():  # a refusal must not leave a new list behind
            importing.configure_import(
                run=run,
                mapping=_apply(run.mapping, options["mapping"]),
                mode=options["mode"],
                mailing_list=_find_list(organization, options["list"]) if options["list"] else None,
                consent_text=options["consent"],
                tags=options["tag"],
            )
        return run

    def _report(self, run: Import, output: str) -> None:
        account = {name: getattr(run, name) for name in ("created", "updated", "unchanged", "rejected", "duplicates")}
        if output == "json":
            detail = {"state": run.state, "read": run.read, **account, "kept_out": run.kept_out}
            detail |= {"reject_reasons": run.reject_reasons, "kept_out_reasons": run.kept_out_reasons}
            detail |= {"dropped_cells": run.dropped_cells, "error": run.error, "import_id": run.pk}
            self.stdout.write(json.dumps(detail, ensure_ascii=False))
            return
        if run.state != ImportState.DONE:
            self.stderr.write(self.style.ERROR(run.error or str(run.get_state_display())))
            return
        if run.is_dry_run:
            self.stdout.write("A trial: nothing was kept.")
        for name, count in {"read": run.read, **account, "kept out": run.kept_out}.items():
            self.stdout.write(f"{name:12}{count:>12,}")
        for reason in reject_reasons(run):
            lines = ", ".join(map(str, reason.lines))
            self.stdout.write(f"  {reason.count:,} × {reason.label} (lines {lines}{', …' if reason.more else ''})")
        for column, count in run.dropped_cells.items():
            self.stdout.write(f"  {count:,} cells of “{column}” did not fit its type and stayed empty")


def _find_organization(name: str) -> Organization:
    found = Organization.objects.filter(name=name).first()
    if found is None and name.isdecimal():
        found = Organization.objects.filter(pk=int(name)).first()
    if found is None:
        known = ", ".join(Organization.objects.values_list("name", flat=True)[:10]) or "none yet; see bootstrap"
        raise CommandError(f"There is no organization “{name}”. Known: {known}.")
    return found


def _find_list(organization: Organization, name: str) -> List:
    found = List.objects.for_organization(organization).filter(name=name).first()
    return found or create_list(organization=organization, name=name)


def _apply(mapping: list[dict[str, str]], wishes: list[str]) -> list[dict[str, str]]:
    """Change the guessed mapping as the arguments say."""
    changed = [dict(entry) for entry in mapping]
    for wish in wishes:
        column, equals, field = wish.rpartition("=")
        entry = next((one for one in changed if one["column"] == column), None)
        if not equals or entry is None:
            known = ", ".join(one["column"] for one in mapping)
            raise CommandError(f"“{wish}”: no such column. The file has: {known}.")
        target, _colon, kind = field.removeprefix(ATTRIBUTE).partition(":")
        is_attribute = field.startswith(ATTRIBUTE)
        entry["field"] = "" if field == "-" else f"{ATTRIBUTE}{target}" if is_attribute else field
        if kind:
            entry["type"] = kind
    return changed


def _run_with_bar(run: Import) -> None:
    """Run the import in a thread of its own and look at its row twice a second."""

    def work() -> None:
        try:
            importing.run_import(import_id=run.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work, name="import")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("Importing", total=100)
        thread.start()
        while thread.is_alive():
            current = import_progress(Import.objects.get(pk=run.pk))
            progress.update(
                bar,
                description=f"{current.state.capitalize()} {current.read:,} rows",
                completed=round(current.percent),
            )
            time.sleep(0.5)
        thread.join()
