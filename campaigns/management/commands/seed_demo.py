"""Fill an organization with the sample and send its campaign once."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from amazonsender.core.errors import DomainError
from campaigns.models import Campaign
from campaigns.sample.localses import LocalSes, LocalSesError
from campaigns.sample.people import PEOPLE, make_people
from campaigns.sample.reconciling import compare
from campaigns.selectors.results import Results, results_of
from campaigns.services.launching import launch_campaign
from campaigns.services.sample import (
    ensure_sample_campaign,
    ensure_sample_lists,
    load_people,
    set_up_sample_organization,
)
from delivery.compiling import CompileError
from delivery.management.following import (
    StillRunning,
    account_data,
    account_lines,
    follow_mailout,
    outlive_outage,
)
from delivery.models import Inbox, Mailout
from delivery.providers.base import ProviderError
from delivery.services.local_accounts import set_up_local_account
from organizations.models import Organization
from organizations.services.organizations import bootstrap_organization
from organizations.services.sign_in import create_sign_in_link

# How Local SES's mailboxes and readers behave, and how fast it takes mail.
BEHAVIOUR = {
    "max_send_rate": 2000.0,
    "max_24_hour": 1_000_000.0,
    "bounce_rate": 0.012,
    "soft_bounce_rate": 0.008,
    "complaint_rate": 0.0006,
    "open_rate": 0.34,
    "click_rate": 0.07,
    "unsubscribe_rate": 0.004,
    "machine_rate": 0.02,
}
# How long deliveries and readers of the whole sample take; fewer people are through sooner.
SPREAD_SECONDS = 12.0
SEND_SECONDS = 600


class Command(BaseCommand):
    help = (
        "Put 10,000 sample people on reserved domains and a sample campaign into an organization, send it through "
        "Local SES, and print its account. Running it again sends nothing new. Never sends to a real person. "
        "Exit code 0: sent, now or before; 1: something failed or, with --verify, the two records differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", default="Lumen Coffee", help="Name of the organization; made if missing.")
        parser.add_argument("--email", default="owner@example.com", help="Address of its owner.")
        parser.add_argument("--people", type=int, default=PEOPLE, help="How many sample people.")
        parser.add_argument(
            "--verify", action="store_true", help="Compare Local SES's record with the ledger at the end."
        )
        parser.add_argument(
            "--settle", type=float, default=300, help="Seconds to wait at most for everything to come back."
        )
        parser.add_argument(
            "--last", type=float, default=0, help="Seconds that sending takes at least; normally a few."
        )
        parser.add_argument("--format", choices=["text", "json"], default="text", help="How to answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.disable(logging.INFO)  # the progress bar stands where log lines would come
        try:
            self._run(options)
        finally:
            logging.disable(logging.NOTSET)

    def _run(self, options: dict[str, Any]) -> None:
        if not settings.LOCALSES_URL:
            raise CommandError("Local SES is not configured (LOCALSES_URL): the sample is never sent anywhere else.")
        if options["people"] < 1:
            raise CommandError("--people is at least 1.")
        self.is_json = options["format"] == "json"
        localses = LocalSes(settings.LOCALSES_URL)
        made = bootstrap_organization(email=options["email"], name=options["organization"])
        try:
            localses.wait_until_up(seconds=30)
            # First what needs our keys: the Local SES of another clone refuses them, and is left as it is.
            set_up_sample_organization(made.organization)
            set_up_local_account(organization=made.organization)
            share = min(options["people"] / PEOPLE, 1)
            pace = {"max_send_rate": max(options["people"] / options["last"], 1.0)} if options["last"] else {}
            localses.change_settings(**BEHAVIOUR | pace, spread_seconds=max(SPREAD_SECONDS * share, 1))
            campaign = self._fill(made.organization, options["people"])
            mailout = self._send(campaign)
            self._settle(localses, mailout, options["settle"])
        except (LocalSesError, DomainError, CompileError, StillRunning) as error:
            raise CommandError(str(error)) from None
        except ProviderError as error:
            raise CommandError(
                f"What answers at {settings.LOCALSES_URL} refuses us: {error} If that is another clone's Local SES, "
                "stop it, or set LOCALSES_URL to another port."
            ) from None
        answer = self._answer(campaign, mailout)
        answer["sign_in_link"] = settings.PUBLIC_URL + create_sign_in_link(user=made.user)
        answer["inbox"] = settings.LOCALSES_URL
        comparison = compare(mailout, localses.accepted()) if options["verify"] else None
        if comparison is not None:
            answer["verified"] = comparison.is_equal
            answer["verification"] = comparison.sentence()
        self._print(answer)
        if comparison is not None and not comparison.is_equal:
            raise SystemExit(1)

    def _fill(self, organization: Organization, people: int) -> Campaign:
        started = time.monotonic()
        lists = ensure_sample_lists(organization)
        created = load_people(organization, lists, make_people(people))
        campaign = ensure_sample_campaign(organization, lists, actor=None)
        if created:
            self._say(f"{created:,} sample people are in ({time.monotonic() - started:.1f} s).")
        return campaign

    def _send(self, campaign: Campaign) -> Mailout:
        was_sent = campaign.mailout is not None
        mailout = launch_campaign(campaign=campaign, revision=campaign.revision, actor=None)
        if was_sent and not mailout.is_open:
            self._say(f"“{campaign.name}” was sent before; nothing new is sent.")
            return mailout
        self._say(f"Sending “{campaign.name}” to {mailout.eligible:,} people.")
        follow_mailout(mailout, seconds=SEND_SECONDS, quiet=self.is_json)
        return mailout

    def _settle(self, localses: LocalSes, mailout: Mailout, seconds: float) -> None:
        """Wait until Local SES has told everything and we have understood it, or the time is up."""
        finished_at = mailout.finished_at or timezone.now()
        if (timezone.now() - finished_at).total_seconds() > 600:
            return
        self._say("Waiting for deliveries, bounces and readers …")
        deadline = time.monotonic() + seconds
        before: Results | None = None
        while time.monotonic() < deadline:
            stats = localses.stats()
            now = outlive_outage(lambda: results_of(mailout))
            is_told = not stats["events_pending"] and not stats["posts_waiting"]
            if is_told and now == before and not outlive_outage(Inbox.objects.exists):
                return
            before = now
            time.sleep(1)
        self._say("More is still coming back; the campaign's page shows it live.")

    def _answer(self, campaign: Campaign, mailout: Mailout) -> dict[str, Any]:
        mailout.refresh_from_db()
        data, results = account_data(mailout), results_of(mailout)
        accepted = data["states"]["sent"] + data["states"]["failed"]
        return data | {
            "campaign_id": campaign.pk,
            "delivered": results.delivered,
            "bounced": results.bounced,
            "soft_bounced": results.soft_bounced,
            "complained": results.complained,
            "opened": results.opened,
            "clicked": results.clicked,
            "unsubscribed": results.unsubscribed,
            "emails_per_second": round(accepted / data["seconds"], 1) if data["seconds"] else None,
        }

    def _print(self, answer: dict[str, Any]) -> None:
        if self.is_json:
            self.stdout.write(json.dumps(answer))
            return
        self.stdout.write("")
        for line in account_lines(answer):
            self.stdout.write(line)
        self.stdout.write("came back")
        for name in ("delivered", "bounced", "soft_bounced", "complained", "opened", "clicked", "unsubscribed"):
            self.stdout.write(f"  {name.replace('_', ' '):<22}{answer[name]:>10,}")
        if answer["emails_per_second"]:
            self.stdout.write(f"{'emails a second':<24}{answer['emails_per_second']:>10,}")
        if "verification" in answer:
            self.stdout.write(answer["verification"])
        self.stdout.write("")
        self.stdout.write(f"Admin: {answer['sign_in_link']}")
        self.stdout.write(f"Inbox: {answer['inbox']}/")

    def _say(self, text: str) -> None:
        if not self.is_json:
            self.stdout.write(text)
