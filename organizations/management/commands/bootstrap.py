"""Make the first organization and its owner; print a one-time sign-in link instead of a password."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from organizations.models import Organization
from organizations.models.organization import validate_time_zone
from organizations.services.organizations import bootstrap_organization
from organizations.services.sign_in import create_sign_in_link


class Command(BaseCommand):
    help = (
        "Make the first organization and its owner, and print a link that signs the owner in once. Safe to repeat. "
        "Exit code 0: they are there; 1: the address, the name or the time zone is none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, help="Address of the owner.")
        parser.add_argument("--organization", required=True, help="Name of the organization.")
        parser.add_argument("--postal-address", default="", help="Stands in the footer of every campaign.")
        parser.add_argument("--time-zone", default="UTC", help="Such as Europe/Riga.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["organization"].strip()
        try:
            validate_email(options["email"])
            validate_time_zone(options["time_zone"])
            Organization._meta.get_field("name").clean(name, None)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        made = bootstrap_organization(
            email=options["email"],
            name=name,
            postal_address=options["postal_address"],
            time_zone=options["time_zone"],
        )
        link = settings.PUBLIC_URL + create_sign_in_link(user=made.user)
        if options["format"] == "json":
            self.stdout.write(
                json.dumps(
                    {
                        "organization_id": made.organization.pk,
                        "organization": made.organization.name,
                        "email": made.user.email,
                        "created": made.is_new,
                        "sign_in_link": link,
                    }
                )
            )
            return
        self.stdout.write(f"{made.organization.name}: {made.user.email} is an owner.")
        self.stdout.write(f"Sign in once, within 24 hours: {link}")
