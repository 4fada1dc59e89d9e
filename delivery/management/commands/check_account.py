"""Ask the provider how the accounts are."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from delivery.models import AccountPace, ParkReason, SendingAccount
from delivery.services.account_points import points_of
from delivery.services.accounts import check_account


class Command(BaseCommand):
    help = (
        "Ask the provider for limits, quota and state of all sending accounts, or one. "
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
        results = [self._describe(check_account(account=account)) for account in accounts]
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
        points = points_of(account, identities, ParkReason(parked) if parked else None)
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
                {"tone": point.tone, "state": point.state, "why": point.why, "step": point.step} for point in points
            ],
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
            if point["step"]:
                self.stdout.write(f"   {point['state']}: {point['step']}")
