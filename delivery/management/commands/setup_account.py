"""Set a sending account up at Amazon: what the page's "Set it up for me" does, for operators."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amazonsender.core.errors import DomainError
from delivery.models import SendingAccount
from delivery.providers.base import ProviderError
from delivery.services.setting_up import ACHIEVED, StepReport, plan_set_up, policy_of, set_up_account


class Command(BaseCommand):
    help = (
        "Create what a sending account lacks at Amazon: configuration set, SNS topic with its policy, subscription of this "
        "server or its queue, event destination; with --domains also the senders' domains and their MAIL FROM. Safe to "
        "repeat: a second time changes nothing. "
        "Exit code 0: all is there; 1: a step is missing, with --dry-run: would be done; or there is no such account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="Id of the account; check_account names them.")
        parser.add_argument("--dry-run", action="store_true", help="Only look, and tell what would be done.")
        parser.add_argument(
            "--domains", action="store_true", help="Register the senders' domains and set their MAIL FROM, too."
        )
        parser.add_argument(
            "--policy", action="store_true", help="Print the IAM policy that the server's keys need, and do nothing."
        )
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        account = SendingAccount.objects.select_related("organization").filter(pk=options["id"]).first()
        if account is None:
            raise CommandError(f"There is no sending account {options['id']}.")
        if options["policy"]:
            self.stdout.write(json.dumps(policy_of(account), indent=2))
            return
        act = plan_set_up if options["dry_run"] else set_up_account
        try:
            reports = act(
                account=account, organization=account.organization, actor=None, with_domains=options["domains"]
            )
        except (DomainError, ProviderError) as error:
            raise CommandError(str(error)) from error
        if options["format"] == "json":
            self.stdout.write(json.dumps([asdict(report) for report in reports]))
        else:
            for report in reports:
                self.stdout.write(_line(report))
        if any(report.state not in ACHIEVED for report in reports):
            raise SystemExit(1)


def _line(report: StepReport) -> str:
    allow = f" Allow the keys {report.action}." if report.action else ""
    detail = f" {report.detail}" if report.detail else ""
    return f"{report.state:<8} {report.title}:{detail} {report.reason}{allow}".rstrip()
