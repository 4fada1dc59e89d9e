"""Say how a mailout is doing."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from delivery.management.following import account_data, account_lines, exit_code
from delivery.models import Mailout
from delivery.selectors.progress import mailout_progress


class Command(BaseCommand):
    help = (
        "Say how a mailout is doing; without an id, list the newest ones. "
        "Exit code 0: finished (or listed); 1: there is none with this id; 3: still sending; "
        "4: paused, stopped, or its account waits for somebody."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", nargs="?", type=int, help="Id of the mailout, as send_campaign prints it.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["id"] is None:
            self._list(options["format"])
            return
        mailout = Mailout.objects.select_related("organization", "account").filter(pk=options["id"]).first()
        if mailout is None:
            raise CommandError(f"There is no mailout {options['id']}.")
        progress = mailout_progress(mailout)
        data = account_data(mailout) | {
            "rate": round(progress.rate, 1),
            "seconds_left": progress.seconds_left,
            "parked_reason": progress.parked_reason,
        }
        if options["format"] == "json":
            self.stdout.write(json.dumps(data))
        else:
            self.stdout.write(f"{mailout.name}: {mailout.get_state_display()}")
            if mailout.state_reason:
                self.stdout.write(str(mailout.get_state_reason_display()))
            for line in account_lines(data):
                self.stdout.write(line)
        if code := exit_code(progress):
            raise SystemExit(code)

    def _list(self, answer_format: str) -> None:
        newest = Mailout.objects.select_related("organization").order_by("-pk")[:20]
        if answer_format == "json":
            rows = [
                {"mailout_id": m.pk, "organization": m.organization.name, "name": m.name, "state": m.state}
                for m in newest
            ]
            self.stdout.write(json.dumps(rows))
            return
        for mailout in newest:
            self.stdout.write(f"{mailout.pk}  {mailout.state:<10} {mailout.eligible:>10,}  {mailout.name}")
