"""Connect an organization to Amazon SES with the credentials of the server, or to another service, and give it senders."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amazonsender.core.errors import InvalidInput
from delivery.models import SendingAccount
from delivery.providers.ses.names import CONFIGURATION_SET, REGION, SENDER, TOPIC_ARN
from delivery.services.accounts import add_sender, check_account, create_account, update_account
from delivery.services.connecting import AccountSettings, connect_account, reconnect_account
from organizations.models import Organization
from organizations.services.audit import record


class Command(BaseCommand):
    help = (
        "Connect an organization to Amazon SES with the credentials of this server, or with --provider to a mail server "
        "or another service, and give it senders. Where several organizations share the server, they can't do it "
        "themselves. Safe to repeat: what is given again changes. "
        "Exit code 0: it is connected and the service answers; 1: a value is none, or it does not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, help="Name of the organization.")
        parser.add_argument("--region", help="Amazon's, such as eu-central-1.")
        parser.add_argument("--name", help="Name of the account; the service's when left out.")
        parser.add_argument("--provider", default="ses", help="ses, smtp or anymail:SERVICE, such as anymail:mailgun.")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="A setting of another provider, such as host=smtp.example.com. May be repeated.",
        )
        parser.add_argument(
            "--secret",
            action="append",
            default=[],
            metavar="NAME=VARIABLE",
            help="A secret setting, read from this environment variable: it would show in the list of processes.",
        )
        parser.add_argument("--rate", type=float, help="People a second; for services that don't tell it.")
        parser.add_argument("--day-limit", type=int, help="People in 24 hours; none when left out.")
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
        if options["provider"] == "ses":
            account = self._connect_amazon(organization, options)
        else:
            account = self._connect_other(organization, options)
        senders = {}
        for identity in options["sender"]:
            sender = add_sender(account=account, organization=organization, actor=None, identity=identity)
            senders[sender.identity] = sender.is_verified
        self._tell(account, senders, as_json=options["format"] == "json")
        if account.check_error:
            raise SystemExit(1)

    def _connect_amazon(self, organization: Organization, options: dict[str, Any]) -> SendingAccount:
        wanted = {"region": options["region"]}
        if options["configuration_set"] is not None:
            wanted["configuration_set"] = options["configuration_set"]
        if options["topic"] is not None:
            wanted["topic_arns"] = options["topic"]
        name = options["name"] or "Amazon SES"
        account = self._known(organization, name, "ses")
        if account is None:
            account = create_account(organization=organization, actor=None, name=name, **wanted)
            record(organization=organization, actor=None, action="account.created", target=account)
        else:
            changes = {name: value for name, value in wanted.items() if getattr(account, name) != value}
            update_account(account=account, actor=None, changes=changes)
        return check_account(account=account)

    def _connect_other(self, organization: Organization, options: dict[str, Any]) -> SendingAccount:
        provider, _, variant = options["provider"].partition(":")
        values: dict[str, str | int | None] = dict(_pair(given) for given in options["set"])
        for name, variable in map(_pair, options["secret"]):
            if not os.environ.get(variable):
                raise CommandError(f"The environment has no variable {variable} for the secret “{name}”.")
            values[name] = os.environ[variable]
        name = options["name"] or variant or provider
        account = self._known(organization, name, provider)
        rate = options["rate"] or (account.rate_limit if account else None)
        if not rate or rate <= 0:
            raise CommandError("Say with --rate how many people a second this service may be asked to send to.")
        day_limit = options["day_limit"] or (account.day_limit if account else None)
        settings = AccountSettings(name=name, rate_limit=rate, day_limit=day_limit, values=values)
        try:
            if account is not None and account.variant == variant:
                return reconnect_account(account=account, actor=None, settings=settings)
            return connect_account(
                organization=organization, actor=None, provider=provider, variant=variant, settings=settings
            )
        except InvalidInput as error:
            raise CommandError(str(error)) from error

    def _known(self, organization: Organization, name: str, provider: str) -> SendingAccount | None:
        accounts = SendingAccount.objects.for_organization(organization)
        return accounts.filter(name=name, provider=provider, is_local=False).order_by("pk").first()

    def _check(self, options: dict[str, Any]) -> None:
        given = [
            ("a region", REGION, [options["region"] or ""] if options["provider"] == "ses" else []),
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
        service = "Amazon" if account.provider == "ses" else account.name
        state = f"{service} does not answer: {account.check_error}" if account.check_error else "connected"
        where = account.region or account.variant or account.provider
        self.stdout.write(f"{account.pk}  {account.name} ({where}): {state}")
        for identity, is_verified in senders.items():
            self.stdout.write(f"   {identity}: {'verified' if is_verified else 'NOT verified'}")


def _pair(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not sign or not name:
        raise CommandError(f"“{given}” is not NAME=VALUE.")
    return name, value
