from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from campaigns.models import Campaign
from campaigns.sample.localses import Accepted, LocalSes, LocalSesError
from campaigns.sample.people import make_people
from campaigns.sample.reconciling import compare
from campaigns.services.launching import launch_campaign
from delivery.engine.process import make_runner
from delivery.management import following
from delivery.models import AccountPace, Mailout, MailoutKind, Message, MessageState, ParkReason, SendingAccount
from delivery.tokens import track_token
from organizations.models import Organization
from subscribers.addresses import canonical
from subscribers.models import Subscriber, Suppression
from tests.campaigns.engine import running_engine
from tests.localses.running import Running, free_port, start, stop


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def localses(tmp_path: Path, settings: Settings) -> Iterator[Running]:
    running = start(tmp_path, free_port())
    settings.LOCALSES_URL = running.url
    settings.LOCALSES_CERTIFICATE = tmp_path / "certificate.pem"
    yield running
    stop(running)


# ---- the sample ------------------------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_the_demo_sends_the_sample_once_and_both_records_agree(localses: Running) -> None:
    with running_engine(make_runner):
        first = json.loads(run("seed_demo", "--people", "300", "--settle", "0", "--verify", "--format", "json"))
        second = json.loads(run("seed_demo", "--people", "300", "--settle", "0", "--verify", "--format", "json"))

    assert first["verified"] is True
    assert first["candidates"] == 300
    assert first["states"]["sent"] + first["states"]["excluded"] == 300
    assert first["states"]["sent"] == localses.stats()["accepted"] > 250
    assert sorted(first["excluded"]) == [
        "bounced",
        "complained",
        "excluded_list",
        "unconfirmed",
        "unsubscribed",
    ]
    assert first["sign_in_link"].startswith("http://testserver/sign-in/")
    assert (second["mailout_id"], second["states"]) == (first["mailout_id"], first["states"])
    assert Mailout.objects.count() == 1
    assert Subscriber.objects.count() == 300


@pytest.mark.django_db
def test_the_demo_never_runs_without_local_ses(settings: Settings) -> None:
    settings.LOCALSES_URL = ""

    with pytest.raises(CommandError, match="Local SES is not configured"):
        run("seed_demo")

    assert not Subscriber.objects.exists()


@pytest.mark.django_db
def test_a_demo_needs_people(settings: Settings) -> None:
    settings.LOCALSES_URL = "http://127.0.0.1:9"

    for people in ("0", "-5"):
        with pytest.raises(CommandError, match="--people is at least 1"):
            run("seed_demo", "--people", people)


@pytest.mark.django_db
def test_the_local_ses_of_another_clone_refuses_the_demo_and_stays_as_it_is(
    localses: Running, settings: Settings
) -> None:
    settings.LOCALSES_SECRET_KEY = "of this clone"
    before = localses.get("/_localses/settings").json()

    with pytest.raises(CommandError, match="another clone's Local SES"):
        run("seed_demo", "--people", "40")

    assert localses.get("/_localses/settings").json() == before
    assert not Subscriber.objects.exists()


def test_sample_people_are_the_same_each_time_and_on_domains_of_nobody() -> None:
    people = list(make_people(2000))

    assert people == list(make_people(2000))
    keys = {canonical(person.email).key for person in people}
    assert len(keys) == 2000
    assert {key.rpartition(".")[2] for key in keys} <= {"example", "com", "net", "org"}
    assert {key.rpartition("@")[2] for key in keys if not key.endswith(".example")} == {
        "example.com",
        "example.net",
        "example.org",
    }
    assert {"active", "unsubscribed", "left_list", "pending", "bounced", "complained", "suppressed"} == {
        person.fate for person in people
    }


@pytest.fixture
def sent(campaign: Campaign) -> Mailout:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    for message in Message.objects.filter(mailout_id=mailout.pk):
        Message.objects.filter(mailout_id=mailout.pk, n=message.n).update(
            state=MessageState.SENT, provider_id=f"id-{message.n}"
        )
    return mailout


def accepted(mailout: Mailout) -> list[Accepted]:
    rows = Message.objects.filter(mailout_id=mailout.pk).order_by("n")
    addresses = dict(Subscriber.objects.values_list("pk", "email"))
    return [Accepted(f"id-{row.n}", addresses[row.subscriber_id], track_token(mailout.pk, row.n)) for row in rows]


def test_equal_records_agree(sent: Mailout) -> None:
    comparison = compare(sent, accepted(sent))

    assert comparison.is_equal
    assert comparison.sentence() == "Local SES and the ledger agree, person by person: 5 sent, 5 accepted."


def test_whoever_has_no_answer_is_named_with_the_reason(sent: Mailout) -> None:
    record = accepted(sent)
    Message.objects.filter(mailout_id=sent.pk, n=2).update(
        state=MessageState.UNKNOWN, provider_id=None, error="no answer: the worker was lost"
    )

    without = compare(sent, [entry for entry in record if entry.to != "newsletter2@example.com"])
    accepted_after_all = compare(sent, record)

    assert without.is_equal
    assert without.sentence().splitlines()[1:] == [
        "Without an answer, and not sent to again: 1 (newsletter2@example.com). "
        "Our worker was lost while the call was out."
    ]
    assert accepted_after_all.surplus == ["newsletter2@example.com"]
    assert not accepted_after_all.is_equal


def test_a_watcher_outlives_a_restart_of_the_database_but_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int | None] = [None, None, 3]

    def read() -> int:
        answer = answers.pop(0)
        if answer is None:
            raise OperationalError("the server is away")
        return answer

    monkeypatch.setattr("delivery.management.following.connection", SimpleNamespace(close=lambda: None))
    assert following.outlive_outage(read) == 3

    monkeypatch.setattr(following, "OUTAGE_SECONDS", 0)
    answers.append(None)
    with pytest.raises(OperationalError):
        following.outlive_outage(read)


def test_every_difference_between_the_records_is_named(sent: Mailout) -> None:
    record = accepted(sent)
    record[1] = record[1]._replace(message_id="another")
    stranger = Accepted("id-9", "stranger@example.com", track_token(sent.pk, 9))

    comparison = compare(sent, [record[0], record[0], record[1], record[2], record[3], stranger])

    assert comparison.twice == ["newsletter1@example.com"]
    assert comparison.different == ["newsletter2@example.com"]
    assert comparison.missing == ["newsletter5@example.com"]
    assert comparison.surplus == ["stranger@example.com"]
    assert not comparison.is_equal
    assert "DISAGREE" in comparison.sentence()


def test_other_mailouts_and_foreign_tags_are_no_difference(sent: Mailout) -> None:
    others = [Accepted("x", "x@example.com", track_token(sent.pk + 1, 1)), Accepted("y", "y@example.com", "rubbish")]

    assert compare(sent, [*accepted(sent), *others]).is_equal


# ---- sending ---------------------------------------------------------------------------------------------------


def test_send_campaign_launches_once(campaign: Campaign) -> None:
    first = json.loads(run("send_campaign", str(campaign.pk), "--format", "json"))
    second = json.loads(run("send_campaign", str(campaign.pk), "--format", "json"))

    assert first == second == {"mailout_id": Mailout.objects.get().pk, "people": 5, "state": "sending"}


def test_send_campaign_says_every_reason_against_it(campaign: Campaign, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(postal_address="")
    campaign.lists.clear()

    with pytest.raises(CommandError, match=r"(?s)no postal address.*Nobody would get it"):
        run("send_campaign", str(campaign.pk))

    assert not Mailout.objects.exists()


def test_send_campaign_as_a_dry_run_and_as_a_test(campaign: Campaign) -> None:
    run("send_campaign", str(campaign.pk), "--dry-run")
    run("send_campaign", str(campaign.pk), "--test")
    run("send_campaign", str(campaign.pk), "--test", "--to", "a@acme.example", "--as", "newsletter1@example.com")

    dry, organizations, named = Mailout.objects.order_by("pk")
    assert dry.is_dry_run
    assert [organizations.kind, named.kind] == [MailoutKind.TEST, MailoutKind.TEST]
    assert named.preview_subscriber_id == Subscriber.objects.get(email="newsletter1@example.com").pk
    campaign.refresh_from_db()
    assert (campaign.state, campaign.mailout_id) == ("draft", None)


def test_send_campaign_names_what_does_not_exist(campaign: Campaign) -> None:
    with pytest.raises(CommandError, match="There is no campaign 0"):
        run("send_campaign", "0")
    with pytest.raises(CommandError, match=r"Nobody has the address x@example\.com"):
        run("send_campaign", str(campaign.pk), "--test", "--as", "x@example.com")

    assert not Mailout.objects.exists()


def test_waiting_for_a_paused_mailout_ends_with_its_own_code(campaign: Campaign) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    Mailout.objects.filter(pk=mailout.pk).update(state="paused", state_reason="by_hand")

    with pytest.raises(SystemExit) as ended:
        run("send_campaign", str(campaign.pk), "--wait", "--format", "json")

    assert ended.value.code == 4


def test_waiting_for_what_was_stopped_does_not_end_well(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    Mailout.objects.filter(pk=mailout.pk).update(state="cancelled")

    with pytest.raises(SystemExit) as ended:
        call_command("send_campaign", str(campaign.pk), "--wait", "--format", "json")

    assert ended.value.code == 4
    assert json.loads(capsys.readouterr().out)["state"] == "cancelled"


@pytest.mark.parametrize(("until", "code"), [(None, 4), (timezone.now() + timedelta(hours=1), 3)])
def test_a_parked_account_holds_a_mailout_unless_it_goes_on_by_itself(
    campaign: Campaign, until: datetime | None, code: int
) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    AccountPace.objects.update(parked_reason=ParkReason.QUOTA, parked_until=until)

    with pytest.raises(SystemExit) as told:
        run("mailout_status", str(mailout.pk))
    with pytest.raises(SystemExit) as waited:
        run("send_campaign", str(campaign.pk), "--wait", "--timeout", "0")

    assert (told.value.code, waited.value.code) == (code, code)


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_the_exact_account() -> None:
    from tests.campaigns import world
    from tests.cast import make_cast

    cast = make_cast()
    newsletter = world.make_list(cast.acme, "Newsletter", people=5)
    campaign = world.make_campaign(cast.acme, world.make_account(cast.acme), newsletter)

    with running_engine(make_runner):
        account = json.loads(run("send_campaign", str(campaign.pk), "--dry-run", "--wait", "--format", "json"))

    assert (account["state"], account["candidates"], account["states"]["simulated"]) == ("finished", 5, 5)


def test_mailout_status_of_a_finished_one_ends_well(campaign: Campaign) -> None:
    from tests.campaigns.test_sending_pages import finish

    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    finish(mailout, sent=5)

    said = run("mailout_status", str(mailout.pk))

    assert said.splitlines()[:3] == [
        "Autumn letter: Sent",
        "candidates                       5",
        "  sent                           5",
    ]


def test_mailout_status_says_why_it_is_paused(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    Mailout.objects.filter(pk=mailout.pk).update(state="paused", state_reason="bounces")

    with pytest.raises(SystemExit):
        call_command("mailout_status", str(mailout.pk))

    assert "Too many addresses bounced" in capsys.readouterr().out


def test_waiting_gives_up_after_its_time(campaign: Campaign) -> None:
    with pytest.raises(SystemExit) as ended:
        run("send_campaign", str(campaign.pk), "--wait", "--timeout", "0")

    assert ended.value.code == 3


@pytest.mark.django_db
def test_the_demo_says_when_local_ses_does_not_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOCALSES_URL = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(LocalSes, "wait_until_up", lambda self, *, seconds: self.stats())

    with pytest.raises(CommandError, match="does not answer"):
        run("seed_demo")

    assert not Subscriber.objects.exists()


def test_local_ses_is_waited_for_only_so_long() -> None:
    client = LocalSes(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(LocalSesError, match="does not answer"):
        client.wait_until_up(seconds=0.4)


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_record_that_differs_fails_the_demo(localses: Running, capsys: pytest.CaptureFixture[str]) -> None:
    with running_engine(make_runner):
        run("seed_demo", "--people", "40", "--settle", "0")
    httpx.delete(f"{localses.url}/_localses/messages")

    with pytest.raises(SystemExit) as ended:
        call_command("seed_demo", "--people", "40", "--settle", "1", "--verify")

    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "was sent before; nothing new is sent" in said
    assert "DISAGREE" in said


def test_local_ses_refusing_a_setting_is_said(localses: Running) -> None:
    with pytest.raises(LocalSesError, match="answered 4"):
        LocalSes(localses.url).change_settings(no_such_setting=1)


@pytest.mark.parametrize(("state", "code"), [("sending", 3), ("paused", 4), ("cancelled", 4)])
def test_mailout_status_ends_with_a_code_for_each_state(campaign: Campaign, state: str, code: int) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)
    Mailout.objects.filter(pk=mailout.pk).update(state=state)

    with pytest.raises(SystemExit) as ended:
        run("mailout_status", str(mailout.pk), "--format", "json")

    assert ended.value.code == code


def test_mailout_status_lists_the_newest(campaign: Campaign) -> None:
    mailout = launch_campaign(campaign=campaign, revision=1, actor=None)

    assert json.loads(run("mailout_status", "--format", "json")) == [
        {"mailout_id": mailout.pk, "organization": "Acme Coffee", "name": "Autumn letter", "state": "sending"}
    ]
    assert "Autumn letter" in run("mailout_status")
    with pytest.raises(CommandError, match="There is no mailout 1"):
        run("mailout_status", "1")


def test_check_account_says_what_is_wrong_and_ends_with_1(
    account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.management.commands.check_account.look_again", lambda *, account, is_forced: True)
    told = json.loads(run("check_account", "--format", "json"))
    assert (told[0]["can_send"], told[0]["senders"]) == (True, {"hello@acme.example": True})

    AccountPace.objects.update(parked_reason=ParkReason.PAUSED)
    with pytest.raises(SystemExit) as ended:
        run("check_account", str(account.pk))

    assert ended.value.code == 1
    with pytest.raises(CommandError, match="There is no sending account 0"):
        run("check_account", "0")


@pytest.mark.django_db
def test_check_account_without_accounts_has_nothing_to_say() -> None:
    assert run("check_account") == "There are no sending accounts.\n"
    assert not Suppression.objects.exists()
