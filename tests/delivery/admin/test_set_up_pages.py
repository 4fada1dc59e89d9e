"""Pages of a sending domain and of “Set it up for me”: who opens them, what they say, and what pressing does."""

from __future__ import annotations

import datetime
import html
import re

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from delivery.domains.checking import Findings
from delivery.domains.lookup import Answer, Question, State
from delivery.domains.spf import Spf
from delivery.domains.wanted import Identity, Purpose, wanted_records
from delivery.models import SenderIdentity, SendingAccount, SendingDomain
from delivery.providers.base import PermanentError
from delivery.services.setting_up import StepReport
from organizations.models import AuditEntry, Organization, User
from tests.campaigns.test_pages import text
from tests.delivery.services.amazon import Amazon
from tests.delivery.services.conftest import public, service
from tests.factories import AccountFactory

__all__ = ["public", "service"]

NAME = "news.acme.io"


@pytest.fixture
def account(acme: Organization, public: str) -> SendingAccount:
    made: SendingAccount = AccountFactory.create(
        organization=acme, is_local=False, region="eu-west-1", configuration_set="", topic_arns=[]
    )
    SenderIdentity.objects.create(organization=acme, account=made, identity=f"hello@{NAME}", is_verified=True)
    return made


@pytest.fixture
def operator(alice: User) -> None:
    """Alice runs the installation."""
    User.objects.filter(pk=alice.pk).update(is_superuser=True)


def domain_url(account: SendingAccount, name: str = NAME) -> str:
    return reverse("admin:sending_domain", args=[account.pk, name])


def set_up_url(account: SendingAccount) -> str:
    return reverse("admin:sending_account_set_up", args=[account.pk])


def looked(account: SendingAccount, findings: Findings, **identity: object) -> SendingDomain:
    details = {
        "name": NAME,
        "is_verified": False,
        "dkim_status": "PENDING",
        "is_signing": True,
        "dkim_origin": "AWS_SES",
        "dkim_tokens": ["t1", "t2", "t3"],
        "dkim_zone": "dkim.amazonses.com",
        "mail_from_domain": "",
        "mail_from_status": "",
        "on_mx_failure": "",
    } | identity
    return SendingDomain.objects.create(
        organization=account.organization,
        account=account,
        name=NAME,
        identity={"state": "known", "details": details},
        findings=findings.as_json(),
        checked_at=timezone.now() - datetime.timedelta(minutes=2),
    )


# ---- the domain ------------------------------------------------------------------------------------------------


def test_a_domain_that_nobody_looked_at_says_so_and_asks_nobody(carol_client: Client, account: SendingAccount) -> None:
    said = text(carol_client.get(domain_url(account)))

    assert "Nobody has looked at these records yet." in said
    assert "Not looked up yet" in said
    assert "Check again" not in said  # an analyst asks nobody
    assert not SendingDomain.objects.exists()


def test_every_record_stands_there_with_its_value_to_copy(alice_client: Client, account: SendingAccount) -> None:
    looked(account, Findings({Question(f"_dmarc.{NAME}", "TXT"): Answer(State.FOUND, ("v=DMARC1; p=none",))}))

    answer = alice_client.get(domain_url(account))
    page = answer.content.decode()

    assert re.search(r"Checked 2.minutes ago\.", html.unescape(text(answer)))
    assert 'data-copy="t1._domainkey.news.acme.io"' in page
    assert 'data-copy="t1.dkim.amazonses.com"' in page
    assert 'data-copy="10 feedback-smtp.eu-west-1.amazonses.com"' in page
    assert "Amazon has not verified it yet" in page
    assert page.count("data-record=") == 8


def test_what_dns_answers_is_shown_as_text(alice_client: Client, account: SendingAccount) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    looked(
        account,
        Findings(
            {
                Question(f"_dmarc.{NAME}", "TXT"): Answer(State.FOUND, (evil, "x" * 2000)),
                Question(f"t1._domainkey.{NAME}", "CNAME"): Answer(State.FOUND, ("javascript:alert(3)",)),
            }
        ),
    )

    page = alice_client.get(domain_url(account)).content.decode()

    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "x" * 400 not in page


@pytest.mark.parametrize("is_local", [True, False])
def test_a_domain_of_the_demo_is_not_looked_up_and_says_why(
    alice_client: Client, acme: Organization, is_local: bool
) -> None:
    account = AccountFactory.create(organization=acme, is_local=is_local)
    SenderIdentity.objects.create(organization=acme, account=account, identity="acme.example")

    said = text(alice_client.get(domain_url(account, "acme.example")))

    assert "These records are not looked up." in said
    assert ("nothing leaves this machine" in said) == is_local
    assert ("reserved for examples" in said) == (not is_local)


def test_checking_asks_once_in_ten_seconds(
    alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def look(*, account: SendingAccount, name: str) -> None:
        asked.append(name)
        SendingDomain.objects.update_or_create(
            organization=account.organization, account=account, name=name, defaults={"checked_at": timezone.now()}
        )

    monkeypatch.setattr("delivery.admin.domains.look_at_domain", look)
    url = reverse("admin:sending_domain_check", args=[account.pk, NAME])

    answers = [alice_client.post(url) for _ in range(3)]

    assert asked == [NAME]
    assert [answer["Location"] for answer in answers] == [domain_url(account)] * 3
    said = [str(message) for message in get_messages(answers[-1].wsgi_request)]
    assert said[0] == "Checked just now."
    assert said[-1] == "It was checked a moment ago. Wait ten seconds."


def test_only_domains_of_senders_have_a_page(
    alice_client: Client, carol_client: Client, mallory_client: Client, account: SendingAccount, acme: Organization
) -> None:
    check = reverse("admin:sending_domain_check", args=[account.pk, NAME])
    other = AccountFactory.create(organization=acme, provider="smtp", is_local=False)

    assert alice_client.get(domain_url(account, "other.io")).status_code == 404
    assert alice_client.get(domain_url(other)).status_code == 404
    assert mallory_client.get(domain_url(account)).status_code == 404
    assert mallory_client.post(check).status_code == 404
    assert carol_client.post(check).status_code == 403
    assert alice_client.get(check).status_code == 405


# ---- set it up for me ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("operator")
def test_the_plan_is_shown_first_and_pressing_carries_it_out(
    alice_client: Client, account: SendingAccount, service: Amazon, alice: User
) -> None:
    plan = text(alice_client.get(set_up_url(account)))
    assert "6 steps to do at Amazon." in plan
    assert "Nothing is done before you press the button." in plan
    assert "Will be created" in plan
    assert service.changes == []

    done = text(alice_client.post(set_up_url(account)))
    assert "It is set up." in done
    assert AuditEntry.objects.get(action="account.set_up").actor == alice

    again = text(alice_client.post(set_up_url(account)))
    assert "Everything was there already. Nothing was changed." in again
    assert "Everything is there already." in text(alice_client.get(set_up_url(account)))


@pytest.mark.usefixtures("operator")
def test_domains_are_part_of_it_where_they_are_asked_for(
    alice_client: Client, account: SendingAccount, service: Amazon
) -> None:
    assert f"bounce.{NAME}" not in text(alice_client.get(set_up_url(account)))
    assert f"bounce.{NAME}" in text(alice_client.get(f"{set_up_url(account)}?domains=1"))

    alice_client.post(set_up_url(account), {"domains": "1"})

    assert service.identities[NAME].mail_from_domain == f"bounce.{NAME}"


@pytest.mark.usefixtures("operator")
def test_what_is_refused_is_named_and_can_be_tried_again(
    alice_client: Client, account: SendingAccount, service: Amazon
) -> None:
    service.denied = {"sns:CreateTopic"}

    said = text(alice_client.post(set_up_url(account)))

    assert "5 steps are still open." in said
    assert "sns:CreateTopic" in said
    assert "Try again" in said


@pytest.mark.usefixtures("operator")
def test_a_server_that_amazon_cannot_reach_is_told_before(
    alice_client: Client, account: SendingAccount, service: Amazon, settings: Settings
) -> None:
    alice_client.post(set_up_url(account))
    service.subscribed.clear()
    settings.PUBLIC_URL = "http://localhost:8000"

    said = text(alice_client.get(set_up_url(account)))

    assert "Something can’t be done from here." in said
    assert "Amazon can’t reach http://localhost:8000" in said


@pytest.mark.usefixtures("operator")
def test_without_credentials_the_page_says_why(
    alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_given: object) -> list[StepReport]:
        raise PermanentError("No AWS credentials found")

    monkeypatch.setattr("delivery.admin.setting_up.plan_set_up", refuse)

    said = text(alice_client.get(set_up_url(account)))

    assert "Amazon can’t be asked." in said
    assert "No AWS credentials found" in said


def test_of_several_organizations_an_owner_is_sent_to_the_operator(
    alice_client: Client, account: SendingAccount, service: Amazon
) -> None:
    for answer in (alice_client.get(set_up_url(account)), alice_client.post(set_up_url(account))):
        assert "Ask whoever runs it to do this for you." in text(answer)
    assert service.changes == []
    assert not AuditEntry.objects.exists()


def test_it_is_the_owners_to_press(
    bob_client: Client, carol_client: Client, mallory_client: Client, account: SendingAccount, service: Amazon
) -> None:
    for client, status in ((bob_client, 403), (carol_client, 403), (mallory_client, 404)):
        assert client.get(set_up_url(account)).status_code == status
        assert client.post(set_up_url(account)).status_code == status
    assert service.changes == []


# ---- the account -----------------------------------------------------------------------------------------------


def test_the_account_leads_to_its_domains_and_to_setting_up(
    alice_client: Client, bob_client: Client, account: SendingAccount
) -> None:
    looked(account, Findings())
    url = reverse("admin:sending_account", args=[account.pk])

    page, bobs = alice_client.get(url).content.decode(), bob_client.get(url).content.decode()

    assert page.count(domain_url(account)) == 2  # among the things to mend, and among the domains
    assert set_up_url(account) in page
    assert set_up_url(account) not in bobs
    assert domain_url(account) in bobs
    assert 'hx-trigger="load"' in page  # nobody has looked yet
    assert 'hx-trigger="load"' not in bobs


def test_a_sender_says_in_words_whether_it_is_signed(alice_client: Client, account: SendingAccount) -> None:
    url = reverse("admin:sending_account", args=[account.pk])
    said = {}
    for status in ("SUCCESS", "TEMPORARY_FAILURE", "SOMETHING_NEW"):
        SenderIdentity.objects.update(dkim_status=status, mail_from_domain="bounce.acme.io")
        said[status] = text(alice_client.get(url))

    assert "signed with DKIM · MAIL FROM bounce.acme.io" in said["SUCCESS"]
    assert "Amazon could not look for its DKIM records · MAIL FROM" in said["TEMPORARY_FAILURE"]
    assert "something_new" not in said["SOMETHING_NEW"].lower()


def test_a_domain_in_a_word(alice_client: Client, account: SendingAccount, acme: Organization) -> None:
    url = reverse("admin:sending_account", args=[account.pk])
    assert "Not looked up yet" in text(alice_client.get(url))

    fine = wanted_records(NAME, Identity(), region="eu-west-1", redirect_domain="", links_host="")
    values = {Purpose.SPF: "token", Purpose.DMARC: "v=DMARC1; p=none"}
    answers = {
        Question(record.name, record.kind): Answer(State.FOUND, (values.get(record.purpose, record.value),))
        for record in fine
    }
    answers[Question("mail.acme.example", "A")] = Answer(State.FOUND, ("198.51.100.7",))
    spf = {f"bounce.{NAME}": Spf("v=spf1 include:amazonses.com ~all", 1, True, "~")}
    details = {"is_verified": True, "dkim_status": "SUCCESS", "dkim_tokens": [], "mail_from_domain": f"bounce.{NAME}"}
    looked(account, Findings(answers, spf), **details)
    SenderIdentity.objects.create(organization=acme, account=account, identity="acme.example")
    SendingDomain.objects.create(organization=acme, account=account, name="acme.example")

    said = text(alice_client.get(url))

    assert f"All records of {NAME} are in place" in said
    assert "In place" in said
    assert "acme.example is not looked up: nothing leaves this machine" in said
