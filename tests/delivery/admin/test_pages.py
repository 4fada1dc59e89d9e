from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from campaigns.models import Campaign
from campaigns.services.launching import launch_campaign
from delivery.models import (
    AccountPace,
    DeliveryEvent,
    EventType,
    ExclusionReason,
    Mailout,
    Message,
    MessageState,
    ParkReason,
    SenderIdentity,
    SendingAccount,
    Verdict,
)
from delivery.providers.base import TransientError
from organizations.models import AuditEntry, Organization, User
from tests.campaigns import world
from tests.campaigns.test_pages import text

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"


@pytest.fixture
def account(acme: Organization) -> SendingAccount:
    return world.make_account(acme)


@pytest.fixture
def operator(alice: User) -> None:
    """Alice runs the installation."""
    User.objects.filter(pk=alice.pk).update(is_superuser=True)


@pytest.fixture
def mailout(acme: Organization, account: SendingAccount, alice: User) -> Mailout:
    campaign: Campaign = world.make_campaign(acme, account, world.make_list(acme, "Newsletter", people=3))
    return launch_campaign(campaign=campaign, revision=1, actor=alice)


@pytest.fixture
def quiet_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider says nothing new."""
    for module in ("delivery.admin.accounts", "delivery.services.accounts"):
        monkeypatch.setattr(f"{module}.check_account", lambda *, account: account)


def message_url(mailout: Mailout, n: int = 1) -> str:
    return reverse("admin:message", args=[mailout.pk, n])


# ---- messages --------------------------------------------------------------------------------------------------


def test_mailouts_are_listed_with_what_they_were(bob_client: Client, mailout: Mailout) -> None:
    said = text(bob_client.get(reverse("admin:messages")))

    assert "Autumn letter" in said
    assert reverse("admin:mailout_messages", args=[mailout.pk]) in said


def test_messages_are_filtered_by_state(bob_client: Client, mailout: Mailout) -> None:
    Message.objects.filter(mailout_id=mailout.pk, n=1).update(
        state=MessageState.FAILED, error="MessageRejected: no", provider_id=None
    )
    url = reverse("admin:mailout_messages", args=[mailout.pk])

    everything, failed = text(bob_client.get(url)), text(bob_client.get(f"{url}?state=failed"))

    assert "newsletter2@example.com" in everything
    assert "MessageRejected: no" in failed
    assert "newsletter2@example.com" not in failed


def test_messages_are_paged_by_number(bob_client: Client, mailout: Mailout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.admin.messages.PAGE", 2)
    url = reverse("admin:mailout_messages", args=[mailout.pk])

    first, second = text(bob_client.get(url)), text(bob_client.get(f"{url}?after=2"))

    assert "after=2" in first
    assert "newsletter3@example.com" not in first
    assert "newsletter3@example.com" in second
    assert "newsletter1@example.com" not in second


def test_an_address_finds_a_persons_messages(bob_client: Client, mailout: Mailout) -> None:
    url = reverse("admin:messages")

    assert "1 message to newsletter1@example.com." in text(bob_client.get(f"{url}?q=Newsletter1@Example.com"))
    assert "Nobody here has the address “x@example.com”." in text(bob_client.get(f"{url}?q=x@example.com"))
    assert "Nobody here has the address “rubbish”." in text(bob_client.get(f"{url}?q=rubbish"))


def test_a_message_tells_its_history_and_machines_apart(bob_client: Client, mailout: Mailout) -> None:
    at = timezone.now()
    Message.objects.filter(mailout_id=mailout.pk, n=1).update(
        state=MessageState.SENT, sent_at=at, delivered_at=at, provider_id="0102-abc"
    )
    for kind, verdict, detail in (
        (EventType.DELIVERED, Verdict.UNJUDGED, {}),
        (EventType.OPENED, Verdict.MACHINE, {}),
        (EventType.CLICKED, Verdict.HUMAN, {}),
        (EventType.SOFT_BOUNCED, Verdict.UNJUDGED, {"diagnostic": "452 mailbox full"}),
    ):
        at += datetime.timedelta(seconds=1)
        DeliveryEvent.objects.create(
            mailout_id=mailout.pk, n=1, at=at, type=kind, id=int(kind), verdict=verdict, link_no=2, detail=detail
        )

    said = text(bob_client.get(message_url(mailout)))

    assert "Reader1" in said
    assert "0102-abc" in said
    assert "by a machine; not counted" in said
    assert "link 2" in said
    assert "452 mailbox full" in said


def test_another_organization_finds_no_message(mallory_client: Client, mailout: Mailout) -> None:
    assert "Autumn letter" not in text(mallory_client.get(reverse("admin:messages")))
    assert mallory_client.get(reverse("admin:mailout_messages", args=[mailout.pk])).status_code == 404
    assert mallory_client.get(reverse("admin:mailout_export", args=[mailout.pk])).status_code == 404
    assert mallory_client.get(message_url(mailout)).status_code == 404
    assert "Nobody here" in text(mallory_client.get(f"{reverse('admin:messages')}?q=newsletter1@example.com"))


def test_a_message_that_does_not_exist_is_not_found(bob_client: Client, mailout: Mailout) -> None:
    assert bob_client.get(message_url(mailout, 99)).status_code == 404


def test_the_export_holds_every_message(bob_client: Client, carol_client: Client, mailout: Mailout) -> None:
    url = reverse("admin:mailout_export", args=[mailout.pk])

    response = bob_client.get(url)

    lines = response.getvalue().decode("utf-8-sig").splitlines()
    assert lines[0] == "email,status,error_message,message_id,sent_at"
    assert sorted(line.split(",")[0] for line in lines[1:]) == [f"newsletter{n}@example.com" for n in (1, 2, 3)]
    assert response.headers["Content-Disposition"] == f'attachment; filename="autumn-letter-{mailout.pk}.csv"'
    assert carol_client.get(url).status_code == 403


# ---- accounts --------------------------------------------------------------------------------------------------


def test_the_only_account_opens_at_once(bob_client: Client, account: SendingAccount) -> None:
    page = reverse("admin:delivery_sendingaccount_changelist")

    assert bob_client.get(page).headers["Location"] == reverse("admin:sending_account", args=[account.pk])
    assert "1 account to send through." in text(bob_client.get(f"{page}?all"))


def test_a_parked_account_says_why_and_what_to_do(bob_client: Client, account: SendingAccount) -> None:
    AccountPace.objects.update(parked_reason=ParkReason.REVIEW)

    said = text(bob_client.get(reverse("admin:sending_account", args=[account.pk])))

    assert "The account is under review at the provider." in said
    assert "then check again" in said


def test_a_marketer_sees_the_account_and_changes_nothing(bob_client: Client, account: SendingAccount) -> None:
    said = text(bob_client.get(reverse("admin:sending_account", args=[account.pk])))
    assert "hello@acme.example" in said
    assert "Check again" not in said

    for name in ("check", "edit", "limit", "sender"):
        assert bob_client.post(reverse(f"admin:sending_account_{name}", args=[account.pk])).status_code == 403
    assert bob_client.get(reverse("admin:sending_account_edit", args=[account.pk])).status_code == 403
    created = bob_client.post(reverse("admin:delivery_sendingaccount_changelist"), {"name": "x", "region": "eu-west-1"})
    assert created.status_code == 403
    assert SendingAccount.objects.count() == 1


def test_an_own_limit_is_set_and_lifted(alice_client: Client, account: SendingAccount, quiet_provider: None) -> None:
    url = reverse("admin:sending_account_limit", args=[account.pk])

    alice_client.post(url, {"rate_limit": "20"})
    assert SendingAccount.objects.get().rate_limit == 20

    alice_client.post(url, {"rate_limit": "-3"})
    assert SendingAccount.objects.get().rate_limit == 20

    alice_client.post(url, {"rate_limit": ""})
    assert SendingAccount.objects.get().rate_limit is None
    assert AuditEntry.objects.filter(action="account.changed").count() == 2


@pytest.mark.usefixtures("operator")
def test_connecting_an_account_keeps_no_secret_and_checks_at_once(
    alice_client: Client, acme: Organization, quiet_provider: None
) -> None:
    response = alice_client.post(
        reverse("admin:delivery_sendingaccount_changelist"),
        {
            "name": "Amazon SES",
            "region": "eu-central-1",
            "configuration_set": "news",
            "topic_arn": "arn:aws:sns:eu-central-1:123456789012:ses-events",
        },
    )

    made = SendingAccount.objects.get()
    assert response.headers["Location"] == reverse("admin:sending_account", args=[made.pk])
    assert (made.organization, made.region, made.is_local) == (acme, "eu-central-1", False)
    assert made.topic_arns == ["arn:aws:sns:eu-central-1:123456789012:ses-events"]


@pytest.mark.parametrize(("field", "value"), [("region", "Frankfurt"), ("topic_arn", "arn:aws:s3:::bucket")])
def test_what_cannot_be_an_account_is_refused(alice_client: Client, field: str, value: str) -> None:
    data = {"name": "SES", "region": "eu-central-1", field: value}

    assert alice_client.post(reverse("admin:delivery_sendingaccount_changelist"), data).status_code == 422
    assert not SendingAccount.objects.exists()


@pytest.fixture
def amazons(acme: Organization) -> SendingAccount:
    return SendingAccount.objects.create(organization=acme, name="SES", region="eu-west-1", topic_arns=[TOPIC])


def edit(client: Client, account: SendingAccount, **changes: str) -> Any:
    data = {
        "name": account.name,
        "region": account.region,
        "configuration_set": account.configuration_set,
        "topic_arns": "\n".join(account.topic_arns),
        "rate_limit": "",
        "calls_in_flight": str(account.calls_in_flight),
    }
    return client.post(reverse("admin:sending_account_edit", args=[account.pk]), data | changes)


@pytest.mark.usefixtures("operator")
def test_what_was_said_when_connecting_is_edited_later(
    alice_client: Client, alice: User, amazons: SendingAccount, quiet_provider: None
) -> None:
    other = "arn:aws:sns:eu-central-1:123456789012:more"

    response = edit(
        alice_client,
        amazons,
        region="eu-central-1",
        configuration_set="news",
        topic_arns=f" {TOPIC}\r\n\r\n{other}\r\n{other}",
        rate_limit="7.5",
        calls_in_flight="40",
    )

    assert response.headers["Location"] == reverse("admin:sending_account", args=[amazons.pk])
    made = SendingAccount.objects.get()
    assert (made.region, made.configuration_set, made.topic_arns) == ("eu-central-1", "news", [TOPIC, other])
    assert (made.rate_limit, made.calls_in_flight) == (7.5, 40)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("account.changed", alice)
    assert entry.detail == {"fields": ["calls_in_flight", "configuration_set", "rate_limit", "region", "topic_arns"]}


@pytest.mark.usefixtures("operator")
def test_saving_an_account_unchanged_writes_nothing_down(
    alice_client: Client, amazons: SendingAccount, quiet_provider: None
) -> None:
    page = text(alice_client.get(reverse("admin:sending_account_edit", args=[amazons.pk])))

    edit(alice_client, amazons)

    assert TOPIC in page
    assert not AuditEntry.objects.exists()


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", ""),
        ("region", "Frankfurt"),
        ("configuration_set", "my set"),
        ("topic_arns", "arn:aws:sns:eu-west-1:123456789012:ok\narn:aws:s3:::bucket"),
        ("topic_arns", "\n".join(f"arn:aws:sns:eu-west-1:123456789012:t{n}" for n in range(21))),
        ("rate_limit", "0"),
        ("calls_in_flight", "0"),
        ("calls_in_flight", "501"),
    ],
)
def test_a_wrong_edit_is_refused_and_changes_nothing(
    alice_client: Client, amazons: SendingAccount, field: str, value: str
) -> None:
    before = SendingAccount.objects.values().get()

    response = edit(alice_client, amazons, **{field: value})

    assert response.status_code == 422
    assert "Something is not right yet." in text(response)
    assert SendingAccount.objects.values().get() == before
    assert not AuditEntry.objects.exists()


def test_what_was_set_up_for_a_local_account_is_not_edited(
    alice_client: Client, account: SendingAccount, quiet_provider: None
) -> None:
    edit(alice_client, account, region="eu-west-1", topic_arns=TOPIC, calls_in_flight="2")

    account.refresh_from_db()
    assert (account.region, account.topic_arns, account.calls_in_flight) == ("us-east-1", [], 2)


def set_up_like(monkeypatch: pytest.MonkeyPatch, act: Callable[..., SendingAccount]) -> None:
    monkeypatch.setattr("delivery.admin.accounts.set_up_local_account", act)


def test_local_ses_is_set_up_with_one_press_and_once(
    alice_client: Client, acme: Organization, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOCALSES_URL = "http://127.0.0.1:1"
    set_up_like(
        monkeypatch, lambda *, organization: SendingAccount.objects.filter(is_local=True).first() or world.make_account(organization)
    )  # fmt: skip
    page = reverse("admin:delivery_sendingaccount_changelist")
    offered = text(alice_client.get(page))

    first = alice_client.post(reverse("admin:sending_account_local"))
    alice_client.post(reverse("admin:sending_account_local"))

    assert "Set up Local SES" in offered
    made = SendingAccount.objects.get(organization=acme)
    assert first.headers["Location"] == reverse("admin:sending_account", args=[made.pk])
    assert AuditEntry.objects.filter(action="account.created").count() == 1
    assert "Set up Local SES" not in text(alice_client.get(f"{page}?all"))
    assert "Set up Local SES again" in text(alice_client.get(first.headers["Location"]))


def test_local_ses_is_not_offered_where_there_is_none(
    alice_client: Client, acme: Organization, settings: Settings
) -> None:
    settings.LOCALSES_URL = ""

    assert "Local SES" not in text(alice_client.get(reverse("admin:delivery_sendingaccount_changelist")))
    response = alice_client.post(reverse("admin:sending_account_local"))

    assert "set LOCALSES_URL" in str(list(get_messages(response.wsgi_request))[-1])
    assert not SendingAccount.objects.exists()


def test_a_silent_local_ses_is_quoted(
    alice_client: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**given: object) -> SendingAccount:
        raise TransientError("connection refused")

    set_up_like(monkeypatch, fail)

    response = alice_client.post(reverse("admin:sending_account_local"))

    assert "connection refused" in str(list(get_messages(response.wsgi_request))[-1])


def test_only_owners_and_admins_set_local_ses_up(bob_client: Client, acme: Organization, settings: Settings) -> None:
    settings.LOCALSES_URL = "http://127.0.0.1:1"

    assert "Set up Local SES" not in text(bob_client.get(reverse("admin:delivery_sendingaccount_changelist")))
    assert bob_client.post(reverse("admin:sending_account_local")).status_code == 403


def test_a_sender_is_added_and_asked_about(
    alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "delivery.admin.accounts.add_sender",
        lambda *, account, organization, actor, identity: SenderIdentity.objects.create(
            account=account, organization=organization, identity=identity
        ),
    )
    url = reverse("admin:sending_account_sender", args=[account.pk])

    response = alice_client.post(url, {"identity": "news.example"})
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“news.example” is not verified yet."]

    alice_client.post(url, {"identity": "not an address"})
    assert SenderIdentity.objects.count() == 2


@pytest.mark.usefixtures("quiet_provider")
def test_of_several_organizations_none_connects_a_real_account_itself(
    alice_client: Client, acme: Organization, amazons: SendingAccount
) -> None:
    """All send with the same credentials: whoever claimed a domain first would have it."""
    changelist = reverse("admin:delivery_sendingaccount_changelist")
    edit = reverse("admin:sending_account_edit", args=[amazons.pk])
    asked = "Ask whoever runs it"

    assert asked in text(alice_client.get(f"{changelist}?all"))
    assert "Connect and check" not in text(alice_client.get(f"{changelist}?all"))
    assert alice_client.post(changelist, {"name": "Mine", "region": "eu-west-1"}).status_code == 403
    assert 'name="region"' not in alice_client.get(edit).content.decode()
    alice_client.post(edit, {"name": "Ours", "calls_in_flight": "3", "region": "us-west-2", "topic_arns": ""})
    assert asked in text(alice_client.get(reverse("admin:sending_account", args=[amazons.pk])))
    answer = alice_client.post(
        reverse("admin:sending_account_sender", args=[amazons.pk]), {"identity": "other.example"}
    )
    assert asked in str(list(get_messages(answer.wsgi_request))[-1])

    account = SendingAccount.objects.get()
    assert (account.name, account.calls_in_flight, account.region) == ("Ours", 3, amazons.region)
    assert account.topic_arns == amazons.topic_arns
    assert not SenderIdentity.objects.filter(identity="other.example").exists()


def test_another_organization_finds_no_account(mallory_client: Client, account: SendingAccount) -> None:
    assert mallory_client.get(reverse("admin:sending_account", args=[account.pk])).status_code == 404
    for name in ("check", "edit", "limit", "sender"):
        assert mallory_client.post(reverse(f"admin:sending_account_{name}", args=[account.pk])).status_code == 404


def test_checking_again_says_how_it_went(
    alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = reverse("admin:sending_account_check", args=[account.pk])

    def answer(*, account: SendingAccount, error: str = "", is_asked: bool = True) -> bool:
        account.check_error = error
        return is_asked

    def said(headers: dict[str, str] | None = None) -> list[str]:
        response = alice_client.post(url, headers=headers)
        assert response.status_code == 302
        return [str(message) for message in get_messages(response.wsgi_request)]

    monkeypatch.setattr("delivery.admin.accounts.look_again", answer)
    assert said({"HX-Request": "true"}) == []
    assert said() == ["Checked just now."]

    monkeypatch.setattr("delivery.admin.accounts.look_again", partial(answer, error="no credentials"))
    assert "no credentials" in said()[-1]
    monkeypatch.setattr("delivery.admin.accounts.look_again", partial(answer, is_asked=False))
    assert said()[-1] == "It was checked a moment ago. Wait ten seconds."


def test_a_provider_that_refuses_a_sender_is_quoted(
    alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**given: object) -> SenderIdentity:
        raise TransientError("no answer")

    monkeypatch.setattr("delivery.admin.accounts.add_sender", refuse)

    response = alice_client.post(reverse("admin:sending_account_sender", args=[account.pk]), {"identity": "a.example"})

    assert [str(message) for message in get_messages(response.wsgi_request)] == ["no answer"]


@pytest.mark.parametrize(
    ("state", "fields", "said"),
    [
        (MessageState.EXCLUDED, {"reason": ExclusionReason.BOUNCED}, "Bounced before"),
        (MessageState.SIMULATED, {"sent_at": timezone.now()}, "Simulated"),
        (MessageState.FAILED, {"error": "MessageRejected: virus"}, "MessageRejected: virus"),
        (MessageState.UNKNOWN, {}, "It may have gone out, so no machine sends it twice."),
    ],
)
def test_each_fate_of_a_message_is_told(
    bob_client: Client, mailout: Mailout, state: MessageState, fields: dict[str, object], said: str
) -> None:
    Message.objects.filter(mailout_id=mailout.pk, n=1).update(state=state, **fields)

    assert said in text(bob_client.get(message_url(mailout)))


def test_an_event_without_details_has_none(bob_client: Client, mailout: Mailout) -> None:
    DeliveryEvent.objects.create(
        mailout_id=mailout.pk, n=1, at=timezone.now(), type=EventType.SOFT_BOUNCED, id=1, detail={}
    )

    assert "Bounced for now" in text(bob_client.get(message_url(mailout)))


def test_a_finished_mailouts_messages_are_counted_exactly(bob_client: Client, mailout: Mailout) -> None:
    Message.objects.filter(mailout_id=mailout.pk).update(state=MessageState.SENT)
    Mailout.objects.filter(pk=mailout.pk).update(state="finished")

    said = text(bob_client.get(reverse("admin:mailout_messages", args=[mailout.pk])))

    assert "3 messages, each accounted for." in said
