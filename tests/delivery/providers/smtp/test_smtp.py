"""What is SMTP's own: conversations that break off at every step, kept connections, replies of every kind."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from delivery.providers import verdicts
from delivery.providers.base import CallResult, Outcome, PermanentError, Signal, TransientError
from delivery.providers.smtp import SmtpProvider, provider, replies
from delivery.providers.smtp.replies import DATA, END, MAIL, RCPT, Reply
from delivery.providers.smtp.sessions import OpeningFailedError, SessionPool, opening_verdict
from tests.delivery.providers.contract.bench import email, entries
from tests.delivery.providers.contract.smtp_bench import SmtpBench

PLAIN = ("AUTH PLAIN",)
PIPELINING = ("PIPELINING", "AUTH PLAIN")


@pytest.fixture(params=[PLAIN, PIPELINING], ids=["step by step", "pipelining"])
def bench(request: pytest.FixtureRequest) -> Iterator[SmtpBench]:
    made = SmtpBench(request.param)
    yield made
    made.stop()


def send(using: Any, people: int = 3) -> CallResult:
    result: CallResult = using.send(using.build(using.prepare(email()), entries(people), "c" * 32))
    return result


def outcomes(result: CallResult) -> list[Outcome]:
    return [found.outcome for found in result.entries]


def names(bench: SmtpBench) -> list[str]:
    return [one.to.partition("@")[0] for one in bench.received]


def test_a_call_that_is_cut_in_the_middle_keeps_what_was_answered(bench: SmtpBench) -> None:
    bench.stub.rule = lambda step, recipient: "cut" if step == "END" and "person2" in recipient else ""

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.ACCEPTED, Outcome.AMBIGUOUS, Outcome.RETRY]
    assert result.entries[1].error.startswith("answer_lost")
    assert bench.stub.handed_over == 2
    assert result.signal is None


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_connection_that_ends_before_the_message_has_sent_nothing(bench: SmtpBench, step: str) -> None:
    bench.stub.rule = lambda found, _: "cut" if found == step else ""

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.RETRY] * 3
    assert result.signal is Signal.UNREACHABLE
    assert bench.stub.handed_over == 0


@pytest.mark.parametrize("ending", ["421 4.7.0 Too many messages on this connection", "cut"])
def test_a_server_that_closes_after_some_messages_is_connected_to_again(bench: SmtpBench, ending: str) -> None:
    mails = count(1)
    bench.stub.rule = lambda step, _: ending if step == "MAIL" and next(mails) == 2 else ""

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.ACCEPTED] * 3
    assert names(bench) == ["person1", "person2", "person3"]
    assert bench.connections == 2


def test_a_server_that_closes_at_the_first_message_is_heeded(bench: SmtpBench) -> None:
    bench.stub.rule = lambda step, _: "421 4.3.2 Shutting down" if step == "MAIL" else ""

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.RETRY] * 3
    assert result.signal is Signal.THROTTLED
    assert bench.connections == 1


def test_a_full_mailbox_waits_and_an_unknown_one_fails_while_the_others_go_on(bench: SmtpBench) -> None:
    said = {"person1": "452 4.2.2 Mailbox full", "person2": "550 5.1.1 No such user"}
    bench.stub.rule = lambda step, argument: next(
        (reply for name, reply in said.items() if step == "RCPT" and name in argument), ""
    )

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.RETRY, Outcome.REJECTED, Outcome.ACCEPTED]
    assert result.entries[0].error == "refused_for_now: 452 4.2.2 Mailbox full"
    assert result.entries[1].error == "refused: 550 5.1.1 No such user"
    assert names(bench) == ["person3"]
    assert bench.connections == 1


def test_a_server_that_waits_for_data_without_a_recipient_gets_none() -> None:
    bench = SmtpBench(PIPELINING)
    said = {"RCPT": "550 5.1.1 No such user", "DATA": "354 Go on", "END": "554 5.5.1 No valid recipients"}
    bench.stub.rule = lambda step, _: said.get(step, "")

    result = send(bench.provider, 1)

    assert outcomes(result) == [Outcome.REJECTED]
    assert bench.stub.messages == []
    bench.stop()


def test_a_refused_content_fails_one_and_the_connection_goes_on(bench: SmtpBench) -> None:
    bench.stub.rule = lambda step, recipient: "554 5.7.1 Spam" if step == "END" and "person2" in recipient else ""

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
    assert bench.connections == 1


def test_a_connection_that_does_not_forget_is_not_used_again(bench: SmtpBench) -> None:
    said = {"RCPT": "550 5.1.1 No such user", "RSET": "cut"}
    bench.stub.rule = lambda step, _: said.get(step, "")

    assert outcomes(send(bench.provider, 2)) == [Outcome.REJECTED] * 2
    assert bench.connections == 2


def test_a_refused_sender_stops_the_call(bench: SmtpBench) -> None:
    bench.stub.rule = lambda step, _: "550 5.7.1 Sender address rejected" if step == "MAIL" else ""

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.RETRY] * 3
    assert result.signal is Signal.SENDER_NOT_VERIFIED
    assert bench.stub.steps.count("MAIL") == 1


def test_what_has_not_begun_in_time_is_tried_later(bench: SmtpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "START_SECONDS", -1.0)

    result = send(bench.provider)

    assert outcomes(result) == [Outcome.RETRY] * 3
    assert result.entries[0].error == "not_tried: the messages before it took too long"
    assert (bench.connections, result.signal) == (0, None)


def test_the_server_signs_in_and_its_name_for_the_message_is_kept(bench: SmtpBench) -> None:
    result = send(bench.provider, 1)

    assert bench.stub.logins == ["\0acme\0secret"]
    assert result.entries[0].provider_id == "2.0.0 Ok: queued as Q1"


def test_a_server_without_a_word_to_it_is_known_by_the_message_id(bench: SmtpBench) -> None:
    bench.stub.rule = lambda step, _: "250 " if step == "END" else ""

    assert send(bench.provider, 1).entries[0].provider_id == "<token-1_x@acme.test>"


def test_bounces_go_to_the_return_path(bench: SmtpBench) -> None:
    send(bench.again(return_path="bounces@acme.test"), 1)

    assert bench.stub.messages[0][0] == "bounces@acme.test"


def test_a_size_is_announced_where_the_server_asks() -> None:
    bench = SmtpBench(("SIZE 10000000", "AUTH PLAIN"))
    sizes: list[str] = []
    bench.stub.rule = lambda step, argument: sizes.append(argument) or "" if step == "MAIL" else ""  # type: ignore[func-returns-value]

    send(bench.provider, 1)

    assert sizes == [f"FROM:<news@acme.test> SIZE={len(bench.stub.messages[0][2]) + 2}"]
    bench.stop()


def test_account_checks_connect_and_sign_in(bench: SmtpBench) -> None:
    status = bench.provider.account_status()

    assert (status.sending_enabled, status.max_send_rate, status.max_24_hour_send) == (True, -1, -1)
    assert bench.stub.logins == ["\0acme\0secret"]
    bench.set_mode("credentials")
    with pytest.raises(PermanentError, match="credentials: "):
        bench.again().account_status()
    with pytest.raises(TransientError, match="unreachable: "):
        bench.again(port=1).account_status()
    assert bench.provider.identity_status("news@acme.test").verified


def test_encryption_that_the_server_lacks_is_a_setting_to_mend(bench: SmtpBench) -> None:
    result = send(bench.again(security="starttls"))

    assert outcomes(result) == [Outcome.RETRY] * 3
    assert result.signal is Signal.MISCONFIGURED


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": ""}, "no mail server"),
        ({"host": "a b"}, "no mail server"),
        ({"port": 0}, "0 is no port"),
        ({"security": "ssl"}, "no encryption"),
        ({"return_path": "not one"}, "address"),
    ],
)
def test_what_cannot_be_a_server_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        SmtpProvider(**({"host": "smtp.example.com"} | wrong))


def test_connections_do_not_cross_a_fork(bench: SmtpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    send(bench.provider, 1)
    monkeypatch.setattr("delivery.providers.smtp.sessions.os.getpid", lambda: -1)

    assert outcomes(send(bench.provider, 1)) == [Outcome.ACCEPTED]
    assert bench.connections == 2


def test_connections_that_were_idle_for_long_are_closed(bench: SmtpBench) -> None:
    provider = bench.again(max_idle_seconds=0)
    send(provider, 1)
    send(provider, 1)

    assert bench.connections == 2


def test_a_backend_without_a_connection_is_no_session() -> None:
    class Unconnected:
        connection: smtplib.SMTP | None = None

        def close(self) -> None: ...

    with pytest.raises(OpeningFailedError, match="no connection"):
        SessionPool(Unconnected, max_idle_seconds=1).take()


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(END, 250, "Ok"), replies.ACCEPTED),
        (Reply(END, -1, "?"), verdicts.MALFORMED),
        (Reply(MAIL, -1, "?"), replies.MALFORMED_BEFORE_THE_MESSAGE),
        (Reply(DATA, 250, "Ok"), replies.MALFORMED_BEFORE_THE_MESSAGE),
        (Reply(MAIL, 530, "5.7.0 Authentication required"), verdicts.CREDENTIALS),
        (Reply(MAIL, 550, "5.7.1 Your account has been suspended"), verdicts.ACCOUNT_SUSPENDED),
        (Reply(END, 454, "Throttling failure: Maximum sending rate exceeded."), verdicts.THROTTLED),
        (Reply(END, 454, "Throttling failure: Daily message quota exceeded."), verdicts.QUOTA_EXCEEDED),
        (Reply(RCPT, 450, "4.2.1 The user is receiving mail too quickly; too many messages"), verdicts.THROTTLED),
        (Reply(RCPT, 452, "4.2.2 Over quota"), replies.TRANSIENT),
        (Reply(RCPT, 552, "5.2.2 Mailbox quota exceeded"), replies.REJECTED),
        (Reply(MAIL, 552, "Message too big"), replies.TOO_LARGE),
        (Reply(END, 552, "5.3.4 Message size exceeds fixed limit"), replies.TOO_LARGE),
        (Reply(RCPT, 553, "5.1.8 Sender's domain does not exist"), replies.SENDER_REFUSED),
        (Reply(END, 554, "Message rejected: Email address is not verified."), replies.SENDER_REFUSED),
        (Reply(END, 451, "4.3.0 Try later"), replies.TRANSIENT),
        (Reply(END, 421, "4.3.2 Closing"), replies.TRANSIENT),
        (Reply(END, 554, "5.6.0 Bad content"), replies.REJECTED),
    ],
)
def test_replies_mean_what_they_say(reply: Reply, verdict: object) -> None:
    assert replies.judge(reply) is verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 Bad"), verdicts.CREDENTIALS),
        (smtplib.SMTPAuthenticationError(454, b"4.7.0 Later"), verdicts.UNREACHABLE),
        (smtplib.SMTPNotSupportedError("STARTTLS"), verdicts.SETTINGS),
        (ssl.SSLCertVerificationError("bad"), verdicts.SETTINGS),
        (smtplib.SMTPConnectError(421, "4.7.0 Too many connections"), verdicts.THROTTLED),
        (smtplib.SMTPConnectError(450, b"4.3.2 Not now"), verdicts.UNREACHABLE),
        (smtplib.SMTPConnectError(554, b"5.7.1 No mail from here"), verdicts.SETTINGS),
        (smtplib.SMTPServerDisconnected("gone"), verdicts.UNREACHABLE),
        (TimeoutError(), verdicts.UNREACHABLE),
    ],
)
def test_failures_to_connect_mean_what_they_say(error: Exception, verdict: object) -> None:
    assert opening_verdict(error) is verdict


def test_a_session_that_was_closed_is_no_longer_one(bench: SmtpBench) -> None:
    pool = bench.provider._pool  # type: ignore[attr-defined]
    session = pool.take()
    session.discard()

    with pytest.raises(OSError, match="closed"):
        _ = session.socket


def test_what_a_burst_opened_is_closed_when_it_grows_old(bench: SmtpBench) -> None:
    pool = bench.provider._pool  # type: ignore[attr-defined]
    first, second = pool.take(), pool.take()
    pool.give_back(first)
    first.used_at -= 1000

    pool.give_back(second)

    assert first.smtp.sock is None
    assert pool.take() is second
