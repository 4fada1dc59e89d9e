"""What became of the product's own mail."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from organizations.models import SystemEmail, SystemEmailState
from organizations.selectors.system_emails import count_system_emails, latest_system_emails
from organizations.services.system_emails import has_way_out


class Command(BaseCommand):
    help = (
        "List the latest letters of the product itself (invitations, links to a new password, notices) with state and "
        "reason. Addresses are shown, links never. Exit code 0: own mail has a way out; 1: it has none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, default=20, help="How many, the newest first.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        letters = latest_system_emails(max(0, options["limit"]))
        counts = count_system_emails()
        if options["format"] == "json":
            answer = {"provider": settings.SYSTEM_EMAIL_PROVIDER, "counts": counts, "letters": [*map(_row, letters)]}
            self.stdout.write(json.dumps(answer))
        else:
            self._print(letters, counts)
        if not has_way_out():
            raise SystemExit(1)

    def _print(self, letters: list[SystemEmail], counts: dict[str, int]) -> None:
        way = settings.SYSTEM_EMAIL_PROVIDER if has_way_out() else "nothing: set SYSTEM_EMAIL_PROVIDER"
        self.stdout.write(f"Own mail goes out by {way}.")
        self.stdout.write(", ".join(f"{n} {state}" for state, n in counts.items()) or "There are no letters.")
        for letter in letters:
            ends = f", due {letter.due_at:%d %b %H:%M}" if letter.state == SystemEmailState.QUEUED else ""
            reason = f": {letter.last_error}" if letter.last_error else ""
            self.stdout.write(
                f"{letter.pk}  {letter.created_at:%d %b %H:%M}  {letter.purpose} to {letter.to}  {letter.state}"
                f" after {letter.tries} tries{ends}{reason}"
            )


def _row(letter: SystemEmail) -> dict[str, Any]:
    return {
        "id": letter.pk,
        "purpose": letter.purpose,
        "to": letter.to,
        "organization_id": letter.organization_id,
        "state": letter.state,
        "tries": letter.tries,
        "due_at": letter.due_at.isoformat(),
        "error": letter.last_error,
        "provider_id": letter.provider_id,
        "created_at": letter.created_at.isoformat(),
        "finished_at": letter.finished_at.isoformat() if letter.finished_at else None,
    }
