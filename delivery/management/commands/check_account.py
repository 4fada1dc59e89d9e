"""Ask the provider how the accounts are."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from delivery.models import AccountPace, ParkReason, SendingAccount, SendingDomain
from delivery.services.account_points import points_of
from delivery.services.domain_records import DomainReport, report_of
from delivery.services.inspecting import look_again


class Command(BaseCommand):
    help = (
        "Ask the provider for limits, quota and state of all sending accounts, or one; and of those at Amazon how they are "
        "set up, and DNS for the records of their domains. "
        "Exit code 0: all can send; 1: one can't, or there is none with this id."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", nargs="?", type=int, help="Id of the account; all of them when left out.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = SendingAccount.objects.select_related("organization").order_by("pk")
        if options["id"] is not None:
            accounts = accounts.filter(pk=options["id"])
            if not accounts:
                raise CommandError(f"There is no sending account {options['id']}.")
        results = []
        for account in accounts:
            look_again(account=account, is_forced=True)
            results.append(self._describe(account))
        if options["format"] == "json":
            self.stdout.write(json.dumps(results))
        elif not results:
            self.stdout.write("There are no sending accounts.")
        else:
            for result in results:
                self._print(result)
        if any(not result["can_send"] for result in results):
            raise SystemExit(1)

    def _describe(self, account: SendingAccount) -> dict[str, Any]:
        pace = AccountPace.objects.filter(account=account).first()
        parked = pace.parked_reason if pace else ""
        identities = list(account.identities.order_by("identity"))
        domains = list(SendingDomain.objects.filter(account=account).order_by("name"))
        points = points_of(account, identities, ParkReason(parked) if parked else None, domains)
        return {
            "account_id": account.pk,
            "organization": account.organization.name,
            "name": account.name,
            "region": account.region,
            "can_send": not parked and not account.check_error and account.sending_enabled,
            "parked_reason": parked,
            "error": account.check_error,
            "production_access": account.production_access,
            "enforcement_status": account.enforcement_status,
            "max_send_rate": account.max_send_rate,
            "max_24_hour_send": account.max_24_hour_send,
            "sent_last_24_hours": account.sent_last_24_hours,
            "senders": {sender.identity: sender.is_verified for sender in identities},
            "points": [
                {
                    "tone": point.tone,
                    "about": point.about,
                    "state": point.state,
                    "why": point.why,
                    "step": point.step,
                    "domain": point.subject,
                }
                for point in points
            ],
            "domains": {domain.name: _records(report_of(domain, account)) for domain in domains},
        }

    def _print(self, result: dict[str, Any]) -> None:
        state = (
            "can send"
            if result["can_send"]
            else f"CANNOT SEND: {result['error'] or result['parked_reason'] or 'paused'}"
        )
        quota = "no daily limit" if result["max_24_hour_send"] < 0 else f"{result['max_24_hour_send']:,.0f} a day"
        self.stdout.write(f"{result['account_id']}  {result['name']} ({result['region']}): {state}")
        self.stdout.write(
            f"   {result['max_send_rate']:,.0f} a second, {quota}, {result['sent_last_24_hours']:,.0f} sent in 24 hours"
        )
        for identity, is_verified in result["senders"].items():
            self.stdout.write(f"   {identity}: {'verified' if is_verified else 'NOT verified'}")
        for point in result["points"]:
            if point["domain"]:  # told record by record
                self._print_domain(point, result["domains"][point["domain"]])
            elif point["step"]:
                self.stdout.write(f"   {point['state']}: {point['step']}")

    def _print_domain(self, point: dict[str, Any], domain: dict[str, Any]) -> None:
        step = f": {domain['step']}" if domain["step"] and point["tone"] != "ok" else ""
        self.stdout.write(f"   {point['state']}{step}")
        for row in domain["records"]:
            if row["tone"] != "ok":
                self.stdout.write(f"      {row['label']}  {row['name']}  {row['type']}  {row['value']}".rstrip())
                found = f" ({'; '.join(row['found'])})" if row["found"] else ""
                words = [f"{row['word']}{found}.", row["said"], row["step"]]
                self.stdout.write(f"         {' '.join(word for word in words if word)}")


def _records(report: DomainReport) -> dict[str, Any]:
    return {
        "trouble": report.trouble,
        "step": report.step,
        "records": [
            {
                "purpose": row.purpose,
                "label": row.label,
                "name": row.name,
                "type": row.kind,
                "value": row.value,
                "state": row.state,
                "word": row.word,
                "tone": row.tone,
                "found": list(row.found),
                "said": row.said,
                "why": row.why,
                "step": row.step,
            }
            for row in report.rows
        ],
    }
