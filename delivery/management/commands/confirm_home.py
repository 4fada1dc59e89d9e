"""Let accounts send again after the database was restored, copied or failed over, or the public address changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandParser

from delivery.engine.database import open_connection
from delivery.engine.home import check_home, confirm_home
from delivery.models import AccountPace, Mailout, ParkReason
from delivery.selectors.progress import mailout_progress

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Underway:
    """A mailout that goes on once accounts may send: in a restored backup, perhaps to people who have it already."""

    mailout_id: int
    organization: str
    name: str
    state: str
    waiting: int


class Command(BaseCommand):
    help = (
        "Show why this database is not taken for the one that may send, and what would go on sending; with --yes, "
        "confirm that it is, which lets the accounts go. Exit code 0: it may send; 1: not confirmed yet."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="Confirm: this database may send from here.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        with open_connection() as connection:
            differences = check_home(connection)
            parked = AccountPace.objects.filter(parked_reason=ParkReason.HOME).count()
            underway = _list_underway()
            needs_it = bool(differences or parked)
            if needs_it and options["yes"]:
                confirm_home(connection)
                logger.warning("delivery.home_confirmed", detail=differences, accounts=parked, mailouts=len(underway))
        is_home = options["yes"] or not needs_it
        if options["format"] == "json":
            self.stdout.write(
                json.dumps(
                    {
                        "is_home": is_home,
                        "differences": differences.split("; ") if differences else [],
                        "parked_accounts": parked,
                        "under_way": [
                            {name: getattr(one, name) for name in Underway.__dataclass_fields__} for one in underway
                        ],
                    }
                )
            )
        elif not needs_it:
            self.stdout.write("This database is at home: nothing to confirm.")
        else:
            self._explain(differences, parked, underway, confirmed=options["yes"])
        if not is_home:
            raise SystemExit(1)

    def _explain(self, differences: str, parked: int, underway: list[Underway], *, confirmed: bool) -> None:
        for difference in differences.split("; ") if differences else ["What differed before is as it was again"]:
            self.stdout.write(f"{difference[0].upper()}{difference[1:]}.")
        if confirmed:
            self.stdout.write(f"Confirmed: {parked} sending accounts may send again.")
            return
        self.stdout.write(f"{parked} sending accounts wait.")
        for one in underway:
            self.stdout.write(f"  {one.mailout_id}  {one.state:<10} {one.waiting:>10,} waiting  {one.name}")
        if underway:
            self.stdout.write(
                "In a backup these people may have their email already: it was made before they got it. Stop such a "
                "sending on its page first."
            )
        self.stdout.write("If this is the one database that may send: manage.py confirm_home --yes")


def _list_underway() -> list[Underway]:
    mailouts = Mailout.objects.select_related("organization", "account").filter(finished_at=None).order_by("pk")
    return [
        Underway(mailout.pk, mailout.organization.name, mailout.name, mailout.state, mailout_progress(mailout).waiting)
        for mailout in mailouts
    ]
