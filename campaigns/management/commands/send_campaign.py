"""Send a campaign from the command line."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from amazonsender.core.errors import DomainError
from campaigns.models import Campaign
from campaigns.services.dry_run import run_dry
from campaigns.services.launching import NotReady, launch_campaign
from campaigns.services.testing import send_campaign_test
from delivery.compiling import CompileError
from delivery.management.following import StillRunning, account_data, account_lines, exit_code, follow_mailout
from delivery.models import Mailout
from delivery.selectors.progress import mailout_progress
from subscribers.models import Subscriber


class Command(BaseCommand):
    help = (
        "Send a campaign. Asking twice sends once. Exit code 0: it started, with --wait it finished; "
        "1: it can't be sent, and why; with --wait 3: still sending after --timeout; "
        "4: paused, stopped, or its account waits for somebody."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="Id of the campaign; it stands in the address of its page.")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--dry-run", action="store_true", help="Go through everything but the sending.")
        how.add_argument("--test", action="store_true", help="Send it to the test recipients only.")
        parser.add_argument(
            "--to", action="append", default=[], help="With --test: an address instead. May be repeated."
        )
        parser.add_argument("--as", dest="subscriber", default="", help="With --test: address of whose data it shows.")
        parser.add_argument("--wait", action="store_true", help="Wait until it has finished, with a progress bar.")
        parser.add_argument("--timeout", type=float, default=86_400, help="With --wait: give up after these seconds.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        campaign = Campaign.objects.select_related("organization", "template").filter(pk=options["id"]).first()
        if campaign is None:
            raise CommandError(f"There is no campaign {options['id']}.")
        mailout = self._start(campaign, options)
        is_json = options["format"] == "json"
        if not is_json:
            who = "1 person" if mailout.eligible == 1 else f"{mailout.eligible:,} people"
            self.stdout.write(f"{campaign.name}: mailout {mailout.pk}, {who}.")
        if not options["wait"]:
            if is_json:
                self.stdout.write(
                    json.dumps({"mailout_id": mailout.pk, "people": mailout.eligible, "state": mailout.state})
                )
            return
        self._follow(mailout, seconds=options["timeout"], is_json=is_json)

    def _follow(self, mailout: Mailout, *, seconds: float, is_json: bool) -> None:
        try:
            follow_mailout(mailout, seconds=seconds, quiet=is_json)
        except StillRunning as error:
            self.stderr.write(str(error))
        data = account_data(mailout)
        if is_json:
            self.stdout.write(json.dumps(data))
        else:
            for line in account_lines(data):
                self.stdout.write(line)
        if code := exit_code(mailout_progress(mailout)):
            raise SystemExit(code)

    def _start(self, campaign: Campaign, options: dict[str, Any]) -> Mailout:
        try:
            if options["dry_run"]:
                return run_dry(campaign=campaign, actor=None)
            if options["test"]:
                return send_campaign_test(
                    campaign=campaign,
                    recipients=options["to"] or campaign.organization.test_recipients,
                    subscriber=self._subscriber(campaign, options["subscriber"]),
                    actor=None,
                )
            return launch_campaign(campaign=campaign, revision=campaign.revision, actor=None)
        except NotReady as error:
            raise CommandError("It can't be sent:\n" + "\n".join(f"- {reason}" for reason in error.reasons)) from None
        except (DomainError, CompileError) as error:
            raise CommandError(str(error)) from None

    def _subscriber(self, campaign: Campaign, address: str) -> Subscriber | None:
        if not address:
            return None
        found = Subscriber.objects.for_organization(campaign.organization).filter(address_key=address.lower()).first()
        if found is None:
            raise CommandError(f"Nobody has the address {address}.")
        return found
