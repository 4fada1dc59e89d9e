"""Print a link that signs somebody in once."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from organizations.models import User
from organizations.services.sign_in import create_sign_in_link


class Command(BaseCommand):
    help = (
        "Print a link that signs somebody in once, within 24 hours. Exit code 0: printed; 1: nobody has this address."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="Address of a user.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].lower(), is_active=True).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {options['email']}. `manage.py bootstrap` makes an owner.")
        link = settings.PUBLIC_URL + create_sign_in_link(user=user)
        answer = json.dumps({"email": user.email, "sign_in_link": link}) if options["format"] == "json" else link
        self.stdout.write(answer)
