"""Connect an organization to Amazon SES with the credentials of the server, and give it senders."""

from __future__ import annotations

import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from delivery.models import SendingAccount
from delivery.providers.ses.names import CONFIGURATION_SET, REGION, SENDER, TOPIC_ARN
from delivery.services.accounts import add_sender, check_account, create_account, update_account
from organizations.models import Organization
from organizations.services.audit import record


class Command(BaseCommand):
    help = (
        "Connect an organization to Amazon SES with the credentials of this server, and give it senders. Where several "
        "organizations share them, they can't do it themselves. Safe to repeat: what is given again changes. "
        "Exit code 0: it is connected and Amazon answers; 1: a value is none, or Amazon does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, help="Name of the organization.")
        parser.add_argument("--region", required=True, help="Such as eu-central-1.")
        parser.add_argument("--name", default="Amazon SES", help="Name of the account.")
        parser.add_argument("--configuration-set", help="Where Amazon is told to report what happens to mail.")
        parser.add_argument("--topic", action="append", help="ARN of an SNS topic to believe. May be repeated.")
        parser.add_argument(
            "--sender", action="append", default=[], help="Address or domain to send from. May be repeated."
        )
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        self._check(options)
        organization = Organization.objects.filter(name=options["organization"]).order_by("pk").first()
        if organization is None:
            raise CommandError(f"There is no organization “{options['organization']}”.")
        wanted = {"region": options["region"]}
        if options["configuration_set"] is not None:
            wanted["configuration_set"] = options["configuration_set"]
        if options["topic"] is not None:
            wanted["topic_arns"] = options["topic"]
        account = (
            SendingAccount.objects.for_organization(organization)
            .filter(name=options["name"], is_local=False)
            .order_by("pk")
            .first()
        )
        if account is None:
            account = create_account(organization=organization, actor=None, name=options["name"], **wanted)
            record(organization=organization, actor=None, action="account.created", target=account)
        else:
            changes = {name: value for name, value in wanted.items() if getattr(account, name) != value}
            update_account(account=account, actor=None, changes=changes)
        check_account(account=account)
        senders = {}
        for identity in options["sender"]:
            sender = add_sender(account=account, organization=organization, actor=None, identity=identity)
            senders[sender.identity] = sender.is_verified
        self._tell(account, senders, as_json=options["format"] == "json")
        if account.check_error:
            raise SystemExit(1)

    def _check(self, options: dict[str, Any]) -> None:
        given = [
            ("a region", REGION, [options["region"]]),
            ("a configuration set", CONFIGURATION_SET, [options["configuration_set"] or ""]),
            ("an ARN of an SNS topic", TOPIC_ARN, options["topic"] or []),
            ("an address or a domain", SENDER, options["sender"]),
        ]
        for what, pattern, values in given:
            for value in values:
                if not re.fullmatch(pattern, value):
                    raise CommandError(f"“{value}” is not {what}.")

    def _tell(self, account: SendingAccount, senders: dict[str, bool], *, as_json: bool) -> None:
        if as_json:
            answer = {"account_id": account.pk, "error": account.check_error, "senders": senders}
            self.stdout.write(json.dumps(answer))
            return
        state = f"Amazon does not answer: {account.check_error}" if account.check_error else "connected"
        self.stdout.write(f"{account.pk}  {account.name} ({account.region}): {state}")
        for identity, is_verified in senders.items():
            self.stdout.write(f"   {identity}: {'verified' if is_verified else 'NOT verified'}")
