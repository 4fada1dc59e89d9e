"""Send to those of a mailout who are without an answer from the provider."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amazonsender.core.errors import DomainError
from delivery.models import Mailout
from delivery.selectors.unanswered import Unanswered, connection_words, knowledge_words, unanswered_of
from delivery.services.resending import check_sending_again, send_again


class Command(BaseCommand):
    help = (
        "Show who of a mailout is without an answer from the provider, and what is known; with --yes, send to them "
        "again. They may have the email already, and then get it twice: no machine decides that. Whoever has left "
        "meanwhile gets nothing. Exit code 0: they are tried again, or nobody is without an answer; "
        "1: not confirmed yet, or it can't be, and why, or there is none with this id."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="Id of the mailout, as send_campaign prints it.")
        parser.add_argument("--yes", action="store_true", help="Confirm: try them again, though some may get it twice.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        mailout = Mailout.objects.select_related("organization", "account").filter(pk=options["id"]).first()
        if mailout is None:
            raise CommandError(f"There is no mailout {options['id']}.")
        known = unanswered_of(mailout)
        obstacle, again = "", 0
        if known.people:
            try:
                if options["yes"] and mailout.finished_at is not None:
                    again = send_again(mailout=mailout, finished_at=mailout.finished_at, actor=None)
                else:
                    check_sending_again(mailout, known)
            except DomainError as error:
                obstacle = str(error)
        if options["format"] == "json":
            self.stdout.write(json.dumps(_data(mailout, known, obstacle, again)))
        else:
            self._tell(mailout, known, obstacle, again)
        if known.people and not again:
            raise SystemExit(1)

    def _tell(self, mailout: Mailout, known: Unanswered, obstacle: str, again: int) -> None:
        self.stdout.write(f"{mailout.name}: {known.people:,} without an answer from the provider.")
        for call in known.calls:
            when = f"{call.handed_over_at:%Y-%m-%d %H:%M:%S}" if call.handed_over_at else "more than a week ago"
            said = connection_words(call.error)
            self.stdout.write(f"  {call.people:>8,}  {when}  call {call.call_id or 'forgotten'}")
            self.stdout.write(f"            {said} ({call.error})" if said else f"            {call.error}")
        if again:
            self.stdout.write(f"{again:,} are tried again: manage.py mailout_status {mailout.pk}")
        elif obstacle:
            self.stdout.write(f"They can't be tried again: {obstacle}")
        elif known.people:
            self.stdout.write(f"About them the provider has said nothing. {knowledge_words(known)}")
            self.stdout.write("They may have the email already, and some may get it twice.")
            self.stdout.write(f"To send to them all the same: manage.py resend_unknown {mailout.pk} --yes")


def _data(mailout: Mailout, known: Unanswered, obstacle: str, again: int) -> dict[str, Any]:
    return {
        "mailout_id": mailout.pk,
        "name": mailout.name,
        "state": mailout.state,
        "unanswered": known.people,
        "calls": [
            {
                "call": str(call.call_id) if call.call_id else None,
                "handed_over_at": call.handed_over_at.isoformat() if call.handed_over_at else None,
                "error": call.error,
                "people": call.people,
            }
            for call in known.calls
        ],
        "sent": known.sent,
        "reported": known.reported,
        "obstacle": obstacle,
        "sent_again": again,
    }
