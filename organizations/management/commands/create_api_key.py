"""Make an API key from the command line: for set-up scripts, and where nobody may sign in yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amazonsender.core.errors import InvalidInput
from organizations.models import Organization
from organizations.permissions import API_SCOPES
from organizations.services.api_keys import issue_api_key


class Command(BaseCommand):
    """Prints the secret and nothing else on standard output; it can't be shown again."""

    help = (
        "Make an API key for an organization. Prints its secret once. "
        "Exit code 0: made; 1: not made, the reason on standard error; 2: wrong arguments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for")
        parser.add_argument("--organization", type=int, help="its id; not needed where there is only one")
        parser.add_argument(
            "--scope", action="append", dest="scopes", choices=API_SCOPES, help="may be repeated; all scopes without it"
        )
        parser.add_argument("--days", type=int, help="how long it lives; for ever without it")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = _organization(options["organization"])
        try:
            key, secret = issue_api_key(
                organization=organization,
                name=options["name"],
                scopes=options["scopes"] or API_SCOPES,
                days=options["days"],
                actor=None,
            )
        except InvalidInput as error:
            raise CommandError(str(error)) from None
        self.stdout.write(secret)
        self.stderr.write(f"{key.name}, of {organization}: {', '.join(key.scopes)}")


def _organization(pk: int | None) -> Organization:
    found = list(Organization.objects.filter(pk=pk) if pk is not None else Organization.objects.order_by("pk")[:2])
    if len(found) != 1:
        raise CommandError(
            "There is no such organization."
            if pk is not None or not found
            else "There are several organizations: say which with --organization ID."
        )
    return found[0]
