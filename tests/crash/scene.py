"""A round's people, campaigns and account, and what people do while their mail goes out. Imported after Django is set up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import httpx
import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections, transaction
from django.utils import timezone

from amazonsender.core.errors import Conflict
from campaigns.models import Campaign
from campaigns.services.launching import launch_campaign
from delivery.models import Mailout, SendingAccount
from delivery.services.accounts import check_account
from delivery.services.controlling import cancel_mailout, pause_mailout, resume_mailout, set_pace
from delivery.services.local_accounts import set_up_local_account
from delivery.tokens import manage_token
from organizations.models import Organization
from subscribers.models import Domain, List, Subscriber, Subscription, SubscriptionState, SuppressionScope
from subscribers.services import consent
from subscribers.services.suppressing import suppress_by_hand
from tests.crash.installation import Installation, insist
from tests.crash.plan import CALLS_IN_FLIGHT, Plan
from tests.crash.timeline import Timeline

Result = TypeVar("Result")

DATABASE_TROUBLE = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
LEAVES_WITHIN_SECONDS = 7.0
PRESSES = 4  # threads that press send at once


def persist(act: Callable[[], Result]) -> Result:
    """Do it like a person would: again while the database is away, on a fresh connection each time."""

    def once() -> Result:
        try:
            return act()
        except DatabaseError:
            connections["default"].close()
            raise

    return insist(once, *DATABASE_TROUBLE)


@dataclass
class Scene:
    """What a round is about. `left_at`: subscriber id → when we knew that their leaving had been committed."""

    installation: Installation
    plan: Plan
    timeline: Timeline
    organization: Organization
    account: SendingAccount
    readers: List
    people: list[int]
    campaigns: list[Campaign]
    mailout_ids: dict[int, set[int]] = field(default_factory=dict)  # campaign id → mailouts it became
    left_at: dict[int, datetime] = field(default_factory=dict)
    has_been_cancelled: set[int] = field(default_factory=set)
    swaps: int = 0  # odd while a backup stands in the database's place

    def in_place(self, act: Callable[[], Result]) -> Result:
        """Do it in the database itself: what was done to a backup in its place is gone, and is done again."""
        while True:
            swaps = self.swaps
            result = act()
            if swaps == self.swaps and swaps % 2 == 0:
                return result
            time.sleep(0.2)

    def press_send(self, campaign: Campaign) -> None:
        """Four threads at once; all of them must hear of the same mailout."""

        def press() -> int:
            try:
                fresh = Campaign.objects.select_related("organization").get(pk=campaign.pk)
                return launch_campaign(campaign=fresh, revision=campaign.revision, actor=None).pk
            finally:
                connections["default"].close()

        def insistently() -> int | None:
            try:
                return self.in_place(lambda: persist(press))
            except Conflict:
                return None  # somebody else's press was faster, and has not committed yet

        with ThreadPoolExecutor(PRESSES) as pool:
            answers = [pressed.result() for pressed in [pool.submit(insistently) for _ in range(PRESSES)]]
        heard = {answer for answer in answers if answer is not None}
        self.mailout_ids.setdefault(campaign.pk, set()).update(heard)
        self.timeline.note(f"campaign {campaign.pk}: send pressed {PRESSES} times, mailout {heard}")

    def start_pressing(self) -> threading.Thread:
        """Send every campaign, beside the attacks."""

        def press() -> None:
            for campaign in self.campaigns:
                self.press_send(campaign)

        thread = threading.Thread(target=press, name="pressing", daemon=True)
        thread.start()
        return thread

    @property
    def mailouts(self) -> list[int]:
        return sorted({number for numbers in self.mailout_ids.values() for number in numbers})

    # ---- what the owner does ----------------------------------------------------------------------------

    def control(self, act: str, dice: random.Random) -> Mailout | None:
        """Pause, resume, cancel or change the pace of one mailout; None when it is too late for that."""
        if not self.mailouts:
            return None
        mailout_id = dice.choice(self.mailouts)
        rate = dice.choice((None, self.plan.rate / 2, self.plan.rate / 4))

        def do() -> Mailout:
            mailout = Mailout.objects.get(pk=mailout_id)
            if act == "pause":
                pause_mailout(mailout=mailout)
            elif act == "cancel":
                cancel_mailout(mailout=mailout)
            else:
                set_pace(mailout=mailout, rate_limit=rate)
            return mailout

        try:
            mailout = persist(do)
        except Conflict as error:
            self.timeline.note(f"mailout {mailout_id}: {act}: {error}")
            return None
        if act == "cancel":
            self.has_been_cancelled.add(mailout_id)
        self.timeline.note(f"mailout {mailout_id}: {act}" + (f" {rate}" if act == "pace" else ""))
        return mailout

    def resume(self, mailout_id: int) -> None:
        try:
            persist(lambda: resume_mailout(mailout=Mailout.objects.get(pk=mailout_id)))
        except Conflict as error:
            self.timeline.note(f"mailout {mailout_id}: resume: {error}")
        else:
            self.timeline.note(f"mailout {mailout_id}: resumed")

    # ---- what readers do --------------------------------------------------------------------------------

    def let_people_leave(self) -> threading.Thread:
        """A thread in which people leave, one after the other, in four ways."""
        thread = threading.Thread(target=self._let_people_leave, name="leaving", daemon=True)
        thread.start()
        return thread

    def _let_people_leave(self) -> None:
        dice = random.Random(f"{self.plan.seed}:leaving")
        chosen = dice.sample(self.people, min(self.plan.leavers, len(self.people)))
        try:
            for subscriber_id in chosen:
                time.sleep(dice.uniform(0, 2 * LEAVES_WITHIN_SECONDS / len(chosen)))
                way = dice.choice((self._unsubscribe, self._leave_everything, self._suppress, self._click_once))
                self.in_place(partial(way, subscriber_id))
                self.left_at[subscriber_id] = datetime.now(UTC)
        finally:
            connections["default"].close()

    def _unsubscribe(self, subscriber_id: int) -> None:
        self._leave(subscriber_id, self.readers.pk)

    def _leave_everything(self, subscriber_id: int) -> None:
        self._leave(subscriber_id, None)

    def _leave(self, subscriber_id: int, list_id: int | None) -> None:
        persist(
            lambda: consent.unsubscribe(
                subscriber=Subscriber.objects.get(pk=subscriber_id), list_id=list_id, method="page", at=timezone.now()
            )
        )

    def _suppress(self, subscriber_id: int) -> None:
        def do() -> None:
            person = Subscriber.objects.get(pk=subscriber_id)
            suppress_by_hand(
                organization=self.organization, email=person.email, scope=SuppressionScope.MARKETING, actor=None
            )

        persist(do)

    def _click_once(self, subscriber_id: int) -> None:
        """RFC 8058 over the web; a mail provider comes again when nobody answers."""
        address = f"{self.installation.web_url}/u/{manage_token(subscriber_id, self.readers.pk)}"

        def post() -> None:
            httpx.post(address, data={"List-Unsubscribe": "One-Click"}, timeout=10).raise_for_status()

        insist(post, httpx.HTTPError, seconds=90)


def make_scene(installation: Installation, plan: Plan, timeline: Timeline) -> Scene:
    """People on a list, campaigns ready to go, and an account at Local SES, which is the same in every round."""
    organization, _made = Organization.objects.get_or_create(
        name="Attacked",
        defaults={
            "postal_address": "1 Main Street, Riga",
            "sender_name": "News",
            "sender_email": "news@crash.example",
        },
    )
    account = set_up_local_account(organization=organization)
    account.calls_in_flight = CALLS_IN_FLIGHT // 2
    account.pilot_threshold = plan.pilot_size or 2**31 - 1
    account.pilot_size = plan.pilot_size or 1000
    account.pilot_wait_seconds = 2
    account.save()
    check_account(account=account)
    chosen = List.objects.create(organization=organization, name=f"Readers of round {plan.seed}")
    people = _make_people(organization, chosen, plan)
    campaigns = [_make_campaign(organization, account, chosen, number) for number in range(plan.mailouts)]
    return Scene(installation, plan, timeline, organization, account, chosen, people, campaigns)


@transaction.atomic
def _make_people(organization: Organization, chosen: List, plan: Plan) -> list[int]:
    """Their addresses carry the round, for Local SES decides by the address what becomes of an email."""
    domain, _made = Domain.objects.get_or_create(name="example.com")
    people = Subscriber.objects.bulk_create(
        Subscriber(
            organization=organization,
            email=f"p{number}.{plan.seed}@example.com",
            address_key=f"p{number}.{plan.seed}@example.com",
            domain=domain,
            first_name=f"Name {number}",
            status="unsubscribed" if number % 100 == 99 else "active",
        )
        for number in range(plan.people)
    )
    Subscription.objects.bulk_create(
        Subscription(
            organization=organization,
            list=chosen,
            subscriber=person,
            state=SubscriptionState.PENDING if number % 100 == 98 else SubscriptionState.SUBSCRIBED,
        )
        for number, person in enumerate(people)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE subscribers_subscriber, subscribers_subscription")
    return [person.pk for person in people]


def _make_campaign(organization: Organization, account: SendingAccount, chosen: List, number: int) -> Campaign:
    campaign = Campaign.objects.create(
        organization=organization,
        account=account,
        name=f"Letter {number}",
        subject="Hello {{ first_name }}",
        body='<html><body><p>Hi {{ first_name }}, <a href="https://example.com/">news</a>.</p></body></html>',
        sender_name="News",
        sender_email=organization.sender_email,
    )
    campaign.lists.set([chosen])
    return campaign
