"""A slice: claim, hand over, tell. Over Local SES's wire, an SMTP server, and in the process."""

from __future__ import annotations

import email
import email.policy
import threading
from email.message import EmailMessage

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from django_ses import SESBackend
from pytest_django import Settings

from delivery.services.system_emails import sending
from delivery.tasks import PERIODIC, purge_system_emails, send_system_emails
from organizations.models import SystemEmail
from organizations.services import system_emails as queue
from organizations.services.letters import Letter
from organizations.services.system_emails import Claimed
from tests.delivery.providers.contract.smtp_stub import SmtpStub
from tests.delivery.system_emails.conftest import LETTER, put
from tests.localses.running import Running

pytestmark = pytest.mark.django_db


def states() -> list[tuple[str, int, int, str]]:
    return list(SystemEmail.objects.order_by("pk").values_list("state", "tries", "doubts", "last_error"))


def raw(localses: Running, number: int) -> EmailMessage:
    answer = localses.get(f"/messages/{number}/raw")
    return email.message_from_bytes(answer.content, policy=email.policy.default)


def test_a_letter_goes_over_sess_wire_and_stands_in_the_inbox(localses: Running) -> None:
    put("Ann@acme.example")

    assert sending.send_due() == 1

    [record] = localses.records()
    assert (record["to"], record["subject"], record["outcome"]) == ("Ann@acme.example", "Новый пароль", "delivered")
    row = SystemEmail.objects.get()
    assert (row.state, row.tries, row.provider_id, row.sealed_body) == ("sent", 1, record["message_id"], "")
    message = raw(localses, record["id"])
    assert message["From"] == "AmazonSender <hello@amazonsender.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content() == LETTER.text
    assert html.get_content().strip() == LETTER.html


@pytest.mark.django_db(transaction=True)
def test_the_tasks_send_and_purge_and_ring_by_themselves(localses: Running) -> None:
    put()

    send_system_emails()
    SystemEmail.objects.update(finished_at=timezone.now() - queue.KEPT)
    purge_system_emails()

    assert len(localses.records()) == 1
    assert not SystemEmail.objects.exists()
    assert {("delivery.tasks.send_system_emails", 15), ("delivery.tasks.purge_system_emails", 3600)} <= set(
        PERIODIC.values()
    )


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_not_at_home_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    monkeypatch.setattr("delivery.tasks.home.check_home", lambda _connection: "another cluster")

    send_system_emails()

    assert mail.outbox == []
    assert states() == [("queued", 0, 0, "")]


def test_a_domain_of_other_letters_goes_out_as_the_wire_wants_it(localses: Running) -> None:
    put("ann@почта.example")

    sending.send_due()

    assert [record["to"] for record in localses.records()] == ["ann@xn--80a1acny.example"]


def test_throttling_is_waited_out_and_the_others_wait_with_it(localses: Running) -> None:
    localses.faults({"fault": "throttle"})
    put()
    put("bob@acme.example")

    assert sending.send_due() == 0

    assert localses.records() == []
    assert [each[:3] for each in states()] == [("queued", 1, 0), ("queued", 0, 0)]
    assert states()[0][3].startswith("throttled: ")
    localses.faults()
    assert sending.send_due() == 0, "both wait"
    SystemEmail.objects.update(due_at=timezone.now())
    assert sending.send_due() == 2
    assert len(localses.records()) == 2


def test_what_is_refused_for_good_does_not_hold_the_others_up(localses: Running) -> None:
    localses.faults({"fault": "exception", "code": "MessageRejected", "to": "bad@*"})
    put("bad@acme.example")
    put("good@acme.example")

    assert sending.send_due() == 1

    assert [(each[0], each[3].partition(":")[0]) for each in states()] == [("failed", "message_rejected"), ("sent", "")]


def test_an_unverified_sender_is_the_installations_fault_and_waits(localses: Running, settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "hello@elsewhere.example"
    put()

    sending.send_due()

    [(state, tries, _doubts, error)] = states()
    assert (state, tries) == ("queued", 1)
    assert error.startswith("sender_not_verified: ")


@pytest.mark.parametrize("fault", [{"fault": "error", "when": "after"}, {"fault": "cut", "when": "after"}])
def test_a_lost_answer_brings_a_second_copy_and_never_a_third(localses: Running, fault: dict[str, object]) -> None:
    localses.faults(fault)
    put()

    for _ in range(4):
        sending.send_due()
        SystemEmail.objects.update(due_at=timezone.now())

    [(state, tries, doubts, _error)] = states()
    assert (state, tries, doubts) == ("unknown", 2, 1)
    first, second = (raw(localses, record["id"]) for record in localses.records())
    assert first["Subject"] == second["Subject"] == "Новый пароль"


def test_both_copies_carry_one_message_id(smtp: SmtpStub) -> None:
    smtp.rule = lambda step, _argument: "cut" if step == "END" else ""
    put()
    sending.send_due()
    SystemEmail.objects.update(due_at=timezone.now())
    claimed = queue.claim()
    assert claimed is not None

    ids = {sending._message(claimed).extra_headers["Message-ID"] for _ in range(2)}

    assert len(ids) == 1
    assert ids.pop().endswith("@amazonsender.example>")


def test_a_server_of_ones_own_gets_the_letter_signed_in(smtp: SmtpStub) -> None:
    put()

    assert sending.send_due() == 1

    [(sender, recipient, body)] = smtp.messages
    assert (sender, recipient) == ("hello@amazonsender.example", "ann@acme.example")
    assert b"Auto-Submitted: auto-generated" in body
    assert smtp.logins == ["\0acme\0secret"]
    assert states() == [("sent", 1, 0, "")]


def test_a_server_that_ends_the_connection_after_each_letter_gets_them_all_without_doubts(smtp: SmtpStub) -> None:
    smtp.is_closing_idle = True
    for number in range(3):
        put(f"person{number}@acme.example")

    assert sending.send_due() == 3

    assert set(states()) == {("sent", 1, 0, "")}
    assert smtp.connections == 3


def test_letters_of_one_slice_share_amazons_client(localses: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    create = SESBackend.create_session

    def counted(backend: SESBackend) -> object:
        made.append(backend)
        return create(backend)

    monkeypatch.setattr(SESBackend, "create_session", counted)
    for number in range(3):
        put(f"person{number}@acme.example")

    assert sending.send_due() == 3

    assert len(made) == 1


@pytest.mark.parametrize(
    ("step", "reply", "expected", "code"),
    [
        ("AUTH", "535 5.7.8 Wrong password", ("queued", 1, 0), "credentials"),
        ("HELLO", "cut", ("queued", 1, 0), "unreachable"),
        ("RCPT", "550 5.1.1 No such user", ("failed", 1, 0), "refused"),
        ("RCPT", "451 4.7.1 Try later", ("queued", 1, 0), "refused_for_now"),
        ("END", "451 4.3.0 Try later", ("queued", 1, 0), "refused_for_now"),
        ("END", "cut", ("queued", 1, 1), "answer_lost"),
        ("END", "wait", ("queued", 1, 1), "answer_lost"),
    ],
)
def test_what_a_server_says_decides(
    smtp: SmtpStub, settings: Settings, step: str, reply: str, expected: tuple[str, int, int], code: str
) -> None:
    settings.EMAIL_TIMEOUT = 3 if reply == "wait" else 20
    smtp.rule = lambda at, _argument: reply if at == step else ""
    put()

    assert sending.send_due() == 0

    [(state, tries, doubts, error)] = states()
    assert (state, tries, doubts) == expected
    assert error.partition(":")[0] == code
    assert "secret" not in error


def test_a_server_that_is_not_there_is_tried_again(smtp: SmtpStub, settings: Settings) -> None:
    smtp.stop()
    put()

    sending.send_due()

    assert [(each[0], each[3].partition(":")[0]) for each in states()] == [("queued", "unreachable")]


def test_a_letter_that_cannot_be_opened_or_addressed_fails_alone(settings: Settings) -> None:
    put("nobody@nowhere")
    sealed = put("sealed@acme.example")
    SystemEmail.objects.filter(pk=sealed.pk).update(sealed_body="broken")
    put()

    assert sending.send_due() == 1

    assert [each[0] for each in states()] == ["failed", "failed", "sent"]
    assert all(each[3].startswith("bad_request: ") for each in states()[:2])
    assert [message.to for message in mail.outbox] == [["ann@acme.example"]]


def test_a_line_break_in_a_subject_sends_nothing() -> None:
    put(letter=Letter(subject="Hello\nBcc: all@acme.example", text="x", html="x"))

    assert sending.send_due() == 0

    assert [each[0] for each in states()] == ["failed"]
    assert mail.outbox == []


def test_a_process_that_was_frozen_after_its_claim_hands_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    claim = queue.claim
    now = [100.0]

    def frozen() -> Claimed | None:
        found = claim()
        now[0] += sending.STALE_SECONDS + 1
        return found

    monkeypatch.setattr(sending, "monotonic", lambda: now[0])
    monkeypatch.setattr(queue, "claim", frozen)

    assert sending.send_due() == 0

    assert [(each[0], each[3].partition(":")[0]) for each in states()] == [("queued", "not_tried")]
    assert mail.outbox == []


def test_a_slice_ends_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    put("bob@acme.example")
    ticks = iter([0.0, 0.0, 0.0, 0.0, sending.SLICE_SECONDS])  # start, loop, claim, before handing over, loop
    monkeypatch.setattr(sending, "monotonic", lambda: next(ticks))

    assert sending.send_due() == 1

    assert [each[0] for each in states()] == ["sent", "queued"]


def test_without_a_way_out_what_was_queued_before_is_given_up_in_time(settings: Settings) -> None:
    put()
    put("late@acme.example")
    SystemEmail.objects.filter(to="late@acme.example").update(give_up_at=timezone.now())
    settings.SYSTEM_EMAIL_PROVIDER = "none"

    assert sending.send_due() == 0

    assert [each[0] for each in states()] == ["queued", "failed"]


def test_logs_hold_neither_addresses_nor_links(localses: Running, capsys: pytest.CaptureFixture[str]) -> None:
    localses.faults({"fault": "exception", "code": "MessageRejected", "to": "bad@*"})
    put("bad@acme.example")
    put()

    sending.send_due()

    said = "".join(capsys.readouterr())
    assert "acme.example" not in said
    assert "secret" not in said


@pytest.mark.django_db(transaction=True)
def test_tasks_that_run_doubled_send_each_letter_once() -> None:
    for number in range(8):
        put(f"person{number}@acme.example")
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        try:
            sending.send_due()
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(message.to[0] for message in mail.outbox) == [f"person{number}@acme.example" for number in range(8)]
    assert set(states()) == {("sent", 1, 0, "")}
