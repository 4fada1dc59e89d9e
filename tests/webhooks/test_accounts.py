"""Reports of services other than Amazon: believed with proof, stored once, applied to the ledger."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.sealing import seal
from delivery.checks import accounts_without_a_guard
from delivery.models import DeliveryEvent, EventType, Inbox, InboxDead, InboxSeen, Mailout, Message, SendingAccount
from delivery.providers.anymail.inbound import AnymailInbound, _is_permanent
from delivery.providers.base import ForgedRequestError, InboundEvent
from delivery.services.events import process_inbox
from delivery.services.events.reports import store_report
from delivery.services.inbound import events_url
from delivery.services.partitions import ensure_partitions
from delivery.tokens import track_token
from organizations.models import Organization
from subscribers.models import Suppression, SuppressionReason
from tests.delivery.events.mailouts import add_batch, add_message, make_mailout, make_subscriber
from tests.factories import AccountFactory
from tests.webhooks.service_reports import REPORTERS, Report, Reporter, mailgun_report
from webhooks import accounts

pytestmark = pytest.mark.django_db
NUMBER = "1017"  # a provider id that every service may have


@pytest.fixture(autouse=True)
def partitions() -> None:
    ensure_partitions(at=timezone.now())


@pytest.fixture(autouse=True)
def no_alarm(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    rung: list[int] = []
    monkeypatch.setattr(accounts, "wake_processor", lambda: rung.append(1))
    return rung


def make_account(organization: Organization, variant: str, options: dict[str, Any]) -> SendingAccount:
    sealed = seal(orjson.dumps(options).decode())
    return AccountFactory.create(
        organization=organization, is_local=False, provider="anymail", variant=variant, sealed_options=sealed
    )


def make_message(account: SendingAccount, email: str = "ada@example.com", **fields: Any) -> Mailout:
    mailout = make_mailout(account.organization, account=account)
    add_message(mailout, 1, make_subscriber(account.organization, email), **({"provider_id": NUMBER} | fields))
    add_batch(mailout, 1, 2, sent=1)
    return mailout


def post(account: SendingAccount, report: Report) -> int:
    client = Client()
    response = client.post(
        f"/webhooks/account/{account.pk}/", report.body, content_type=report.content_type, headers=report.headers
    )
    return response.status_code


@pytest.mark.parametrize("reporter", REPORTERS.values(), ids=REPORTERS)
def test_a_bounce_is_believed_stored_once_and_found_by_its_token(
    acme: Organization, reporter: Reporter, no_alarm: list[int]
) -> None:
    account = make_account(acme, reporter.variant, reporter.options)
    mailout = make_message(account, provider_id="another")
    report = reporter.bounce(track_token(mailout.pk, 1), NUMBER, "ada@example.com", events_url(account))

    assert [post(account, report) for _ in range(3)] == [200] * 3

    assert Inbox.objects.count() == 1
    assert no_alarm == [1]
    assert process_inbox() == 1
    message = Message.objects.get(mailout_id=mailout.pk, n=1)
    assert message.bounced_at is not None
    suppression = Suppression.objects.get()
    assert (suppression.organization, suppression.address_key) == (acme, "ada@example.com")
    assert suppression.reason == SuppressionReason.HARD_BOUNCE
    assert not InboxDead.objects.exists()
    # Again, after the digest was forgotten: the ledger knows the event.
    InboxSeen.objects.all().delete()
    assert post(account, report) == 200
    assert process_inbox() == 1
    assert DeliveryEvent.objects.count() == 1


@pytest.mark.parametrize("reporter", REPORTERS.values(), ids=REPORTERS)
def test_a_report_without_a_token_is_found_by_provider_id_and_address(acme: Organization, reporter: Reporter) -> None:
    account = make_account(acme, reporter.variant, reporter.options)
    kept = f"<{NUMBER}>" if reporter.variant == "mailgun" else NUMBER
    mailout = make_message(account, provider_id=kept)
    report = reporter.bounce("", kept, "ada@example.com", events_url(account))

    assert post(account, report) == 200
    process_inbox()

    assert Message.objects.get(mailout_id=mailout.pk, n=1).bounced_at is not None


@pytest.mark.parametrize("reporter", REPORTERS.values(), ids=REPORTERS)
def test_a_forged_report_writes_nothing(acme: Organization, reporter: Reporter) -> None:
    account = make_account(acme, reporter.variant, reporter.options)
    mailout = make_message(account)
    report = reporter.bounce(track_token(mailout.pk, 1), NUMBER, "ada@example.com", events_url(account))
    other = make_account(acme, reporter.variant, {name: _other(value) for name, value in reporter.options.items()})

    refused = [
        post(account, Report(report.body.replace(b"ada@", b"eve@").replace(b"ada%40", b"eve%40"), report.headers))
        if reporter.options.get("webhook_secret") is None and reporter.variant != "mailgun"
        else 403,
        post(account, Report(report.body, {}, report.content_type)) if report.headers else 403,
        post(account, Report(b"[]", {"Authorization": "Basic bmFtZTp3cm9uZw=="})),
        post(other, report),
    ]

    assert set(refused) <= {400, 403}
    assert (Inbox.objects.count(), InboxSeen.objects.count()) == (0, 0)


def _other(value: object) -> object:
    return "other:secret" if isinstance(value, str) and ":" in value and "//" not in value else f"{value}x"[::-1]


def test_without_a_key_or_secret_nobody_is_there_and_a_check_says_so(acme: Organization, settings: Settings) -> None:
    reporter = REPORTERS["postmark"]
    account = make_account(acme, "postmark", {"server_token": "k"})
    report = reporter.bounce("", NUMBER, "ada@example.com", "")

    assert post(account, report) == 404
    assert Client().get(f"/webhooks/account/{account.pk}").status_code == 404

    assert [found.id for found in accounts_without_a_guard(None, databases=["default"])] == ["amazonsender.W020"]
    assert accounts_without_a_guard(None, databases=None) == []
    with pytest.raises(SystemCheckError, match="W020"):
        call_command("check", databases=["default"], fail_level="WARNING")
    account.sealed_options = seal('{"server_token": "k", "webhook_secret": "a:b"}')
    account.save()
    assert accounts_without_a_guard(None, databases=["default"]) == []
    settings.SECRET_KEY = "lost"
    assert post(account, report) == 404
    assert Inbox.objects.count() == 0


def test_who_is_not_there_is_not_found(acme: Organization) -> None:
    ses = AccountFactory.create(organization=acme)
    smtp = AccountFactory.create(organization=acme, provider="smtp")

    for pk in (ses.pk, smtp.pk, 999_999):
        assert Client().post(f"/webhooks/account/{pk}/", b"{}", content_type="application/json").status_code == 404


def test_a_service_may_look_whether_somebody_is_there(acme: Organization) -> None:
    account = make_account(acme, "mandrill", REPORTERS["mandrill"].options)

    assert Client().head(f"/webhooks/account/{account.pk}").status_code == 200
    assert Client().get(f"/webhooks/account/{account.pk}/").status_code == 200
    assert Client().put(f"/webhooks/account/{account.pk}/").status_code == 405


@pytest.mark.parametrize(
    ("changes", "kind", "state"),
    [
        ({"event": "delivered"}, EventType.DELIVERED, "sent"),
        ({"severity": "temporary"}, EventType.DEFERRED, "sent"),
        ({"event": "complained"}, EventType.COMPLAINED, "sent"),
        ({"event": "unsubscribed"}, EventType.UNSUBSCRIBED, "sent"),
        ({"event": "opened", "client-info": {"user-agent": "Mozilla/5.0 (Windows)"}}, EventType.OPENED, "sent"),
        ({"event": "clicked", "url": "https://acme.test/"}, EventType.CLICKED, "sent"),
        ({"event": "rejected", "reject": {"reason": "Sandbox"}, "reason": "old"}, EventType.REJECTED, "failed"),
    ],
)
def test_everything_a_service_tells_has_a_place_in_the_ledger(
    acme: Organization, changes: dict[str, Any], kind: EventType, state: str
) -> None:
    account = make_account(acme, "mailgun", REPORTERS["mailgun"].options)
    mailout = make_message(account)

    assert post(account, mailgun_report(track_token(mailout.pk, 1), NUMBER, "ada@example.com", **changes)) == 200
    process_inbox()

    found = DeliveryEvent.objects.get()
    assert found.type == kind
    assert Message.objects.get(mailout_id=mailout.pk, n=1).get_state_display().lower() == state


def test_acceptance_settles_an_unknown_and_writes_no_event(acme: Organization) -> None:
    account = make_account(acme, "mailgun", REPORTERS["mailgun"].options)
    mailout = make_message(account, state=4, provider_id=None)

    post(account, mailgun_report(track_token(mailout.pk, 1), NUMBER, "ada@example.com", event="accepted"))
    process_inbox()

    message = Message.objects.get(mailout_id=mailout.pk, n=1)
    assert (message.get_state_display(), message.provider_id) == ("Sent", f"<{NUMBER}>")
    assert not DeliveryEvent.objects.exists()


def test_what_says_nothing_about_a_message_is_taken_and_forgotten(acme: Organization) -> None:
    account = make_account(acme, "mailgun", REPORTERS["mailgun"].options)

    assert post(account, mailgun_report("", NUMBER, "ada@example.com", event="list_member_uploaded")) == 200
    process_inbox()

    assert not DeliveryEvent.objects.exists()
    assert not InboxDead.objects.exists()


def test_a_bounce_of_nobody_we_know_suppresses_with_its_account(acme: Organization, other: Organization) -> None:
    account = make_account(acme, "mailgun", REPORTERS["mailgun"].options)

    post(account, mailgun_report("", NUMBER, "eve@example.com"))
    post(account, mailgun_report("", NUMBER, "not an address"))
    process_inbox()

    assert list(Suppression.objects.values_list("organization", "address_key")) == [(acme.pk, "eve@example.com")]


def test_reports_about_other_peoples_messages_hit_nobody(acme: Organization, other: Organization) -> None:
    own = make_account(acme, "mailgun", REPORTERS["mailgun"].options)
    foreign = make_account(other, "mailgun", REPORTERS["mailgun"].options)
    mailout = make_message(foreign)

    post(own, mailgun_report(track_token(mailout.pk, 1), NUMBER, "ada@example.com"))
    post(own, mailgun_report("A" * 28, NUMBER, "bob@example.com"))
    post(own, mailgun_report("", NUMBER, "ada@example.com", id="3"))
    process_inbox()

    assert Message.objects.get(mailout_id=mailout.pk, n=1).bounced_at is None
    assert set(InboxDead.objects.values_list("error", flat=True)) == {
        "a message that this account did not send",
        "a token that is none of ours",
    }
    assert not Suppression.objects.filter(organization=other).exists()


def test_a_bounce_whose_mailout_is_gone_suppresses_still(acme: Organization) -> None:
    account = make_account(acme, "mailgun", REPORTERS["mailgun"].options)
    mailout = make_message(account)
    Message.objects.filter(mailout_id=mailout.pk).delete()

    post(account, mailgun_report(track_token(mailout.pk, 1), NUMBER, "ada@example.com"))
    process_inbox()

    assert Suppression.objects.get().address_key == "ada@example.com"


def test_genuine_garbage_is_refused_and_writes_nothing(acme: Organization) -> None:
    account = make_account(acme, "postmark", REPORTERS["postmark"].options)
    headers = REPORTERS["postmark"].bounce("", "", "", "").headers

    assert post(account, Report(b"not json", headers)) == 400
    assert post(account, Report(b'{"FromFull": {}}', headers)) == 400
    assert Inbox.objects.count() == 0


def test_a_body_that_is_too_large_is_refused(acme: Organization, settings: Settings) -> None:
    account = make_account(acme, "postmark", REPORTERS["postmark"].options)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    assert post(account, REPORTERS["postmark"].bounce("", NUMBER, "ada@example.com", "")) == 413
    assert Inbox.objects.count() == 0


def test_a_database_that_is_gone_asks_for_another_try(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account(acme, "postmark", REPORTERS["postmark"].options)

    def fail(**_: object) -> bool:
        raise OperationalError

    monkeypatch.setattr(accounts, "store_report", fail)

    assert post(account, REPORTERS["postmark"].bounce("", NUMBER, "ada@example.com", "")) == 503


def test_a_reader_without_a_guard_believes_nobody() -> None:
    with pytest.raises(ForgedRequestError, match="no key or secret"):
        AnymailInbound().read(object(), {"variant": "postmark"})


def test_failures_at_the_service_and_what_the_inbox_cannot_read(acme: Organization) -> None:
    account = make_account(acme, "mailgun", REPORTERS["mailgun"].options)
    mailout = make_message(account)
    now = timezone.now()
    token = track_token(mailout.pk, 1)
    for event in (
        InboundEvent("1", "failed", now, token, "", "ada@example.com", text="template"),
        InboundEvent("2", "bounced", now, token, "", "ada@example.com", is_permanent=False),
        InboundEvent("3", "rejected", None, token, "", "ada@example.com", reason="invalid"),
        InboundEvent("4", "sent", now, "", NUMBER, "nobody@example.com"),
    ):
        assert store_report(account_id=account.pk, event=event, now=now)
    Inbox.objects.create(source="account", body=b"{}")
    process_inbox()

    kinds = set(DeliveryEvent.objects.values_list("type", flat=True))
    assert kinds == {EventType.FAILED, EventType.SOFT_BOUNCED, EventType.REJECTED}
    assert InboxDead.objects.get().error == "not a report: KeyError"
    assert Suppression.objects.get().reason == SuppressionReason.INVALID


def test_the_check_waits_for_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(SendingAccount.objects, "exclude", fail)

    assert accounts_without_a_guard(None, databases=["default"]) == []


@pytest.mark.parametrize(
    ("event", "answer", "is_permanent"),
    [
        (None, "", True),
        ({"hard_bounce": False}, "", False),
        ({"Type": "SoftBounce"}, "", False),
        ({"msys": {"message_event": {"bounce_class": "22"}}}, "", False),
        ({"event": "bounce"}, "452 4.2.2 full", False),
        (QueryDict("event=failed&severity=temporary"), "", False),
    ],
)
def test_a_bounce_is_for_good_unless_somebody_says_otherwise(event: Any, answer: str, is_permanent: bool) -> None:
    assert _is_permanent(event, answer) is is_permanent
