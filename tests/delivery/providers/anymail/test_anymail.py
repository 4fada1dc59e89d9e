"""What is anymail's own: chunks, notations, and what refusals and broken connections mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from urllib3 import exceptions as urllib3_errors

from delivery.providers import verdicts
from delivery.providers.anymail import AnymailProvider, outcomes
from delivery.providers.anymail.services import SERVICES, Bodies
from delivery.providers.base import CallResult, Entry, Outcome, PermanentError, Signal
from tests.delivery.providers.contract.anymail_benches import (
    AnymailBench,
    MailerSend,
    Mailgun,
    Postmark,
    SendGrid,
    SparkPost,
)
from tests.delivery.providers.contract.bench import email, entries, entry
from tests.delivery.providers.contract.http_stub import Answer

Make = Callable[[type[AnymailBench]], AnymailBench]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[AnymailBench] = []

    def start(kind: type[AnymailBench]) -> AnymailBench:
        made.append(kind())
        return made[-1]

    yield start
    for bench in made:
        bench.stop()


def send(bench: AnymailBench, people: list[Entry]) -> CallResult:
    provider = bench.provider
    return provider.send(provider.build(provider.prepare(email()), people, "c" * 32))


def outcomes_of(result: CallResult) -> list[Outcome]:
    return [found.outcome for found in result.entries]


def test_each_service_has_its_own_limit() -> None:
    assert {key: service.entries_per_call for key, service in SERVICES.items()} == {
        "mailgun": 1000,
        "sendgrid": 1000,
        "sparkpost": 1000,
        "postmark": 500,
        "brevo": 1000,
        "mailersend": 500,
        "mailjet": 50,
        "resend": 100,
        "mailtrap": 500,
        "mandrill": 1,
        "unisender_go": 1,
        "postal": 1,
        "scaleway": 1,
    }
    for service in SERVICES.values():
        assert (service.filled is not None) == (service.bodies is Bodies.FILLED)
        assert (service.written is not None) == (service.bodies is Bodies.WRITTEN)


def test_a_thousand_people_are_one_request(make: Make) -> None:
    bench = make(Mailgun)

    result = send(bench, entries(1000))

    assert outcomes_of(result) == [Outcome.ACCEPTED] * 1000
    assert bench.handed_over == 1
    assert len({one.to for one in bench.received}) == 1000
    assert bench.received[999].tags["m"] == "token-1000_x"


@pytest.mark.parametrize("kind", [Mailgun, Postmark, SendGrid, SparkPost])
def test_one_address_twice_in_a_call_gets_both_their_emails(make: Make, kind: type[AnymailBench]) -> None:
    bench = make(kind)
    twice = [entry(1), entry(2, address="Person1@example.com"), entry(3)]

    result = send(bench, twice)

    assert outcomes_of(result) == [Outcome.ACCEPTED] * 3
    assert bench.handed_over == 2
    assert [one.tags["m"] for one in bench.received] == ["token-1_x", "token-3_x", "token-2_x"]
    assert [one.subject[-5] for one in bench.received] == ["1", "3", "2"]


@pytest.mark.parametrize("kind", [Mailgun, Postmark])
def test_a_value_that_lacks_is_refused_when_built(make: Make, kind: type[AnymailBench]) -> None:
    bench = make(kind)
    prepared = bench.provider.prepare(email())

    with pytest.raises(PermanentError, match="no value for the slot 's1'"):
        bench.provider.build(prepared, [entry(values={"s0": "x"})], "c" * 32)


def test_values_that_sendgrid_would_not_take_are_refused_when_built(make: Make) -> None:
    bench = make(SendGrid)
    prepared = bench.provider.prepare(email())

    with pytest.raises(PermanentError, match="values of more than 10000 bytes"):
        bench.provider.build(prepared, [entry(values={"s0": "x" * 9_000, "s1": "é" * 501})], "c" * 32)


def test_an_email_of_one_part_is_sent_as_one(make: Make) -> None:
    bench = make(Postmark)
    provider = bench.provider
    bench.stub.read = lambda request: [] if "HtmlBody" in json.loads(request.body)[0] else bench.read_text(request)  # type: ignore[attr-defined]
    bench.read_text = lambda request: [SimpleNamespace(to="x")]  # type: ignore[attr-defined]

    provider.send(provider.build(provider.prepare(email(html="")), [entry()], "c" * 32))

    assert len(bench.received) == 1


def test_compiled_segments_are_used_where_the_email_has_them(make: Make) -> None:
    for kind in (Mailgun, Postmark):
        bench = make(kind)
        segments = {"subject": ("Hi ", "s0", ""), "html": ("<p>", "s0", "</p>"), "text": ("", "s0", "!")}
        provider = bench.provider
        provider.send(provider.build(provider.prepare(email(segments=segments)), [entry()], "c" * 32))
        assert bench.received[0].text == "Zoë &amp; <b>1</b>!"


@pytest.mark.parametrize(
    ("code", "outcome", "signal"),
    [
        (300, Outcome.REJECTED, None),
        (406, Outcome.REJECTED, None),
        (1234, Outcome.REJECTED, None),
        (400, Outcome.RETRY, Signal.SENDER_NOT_VERIFIED),
        (412, Outcome.RETRY, Signal.ACCOUNT_PAUSED),
        (429, Outcome.RETRY, Signal.THROTTLED),
        (-1, Outcome.AMBIGUOUS, None),
    ],
)
def test_postmark_tells_each_persons_fate(make: Make, code: int, outcome: Outcome, signal: Signal | None) -> None:
    bench = make(Postmark)
    rows = [{"ErrorCode": 0, "Message": "OK", "MessageID": "a", "To": "person1@example.com"}]
    rows += [{"ErrorCode": code, "Message": "Because"}]
    bench.stub.answer = lambda _mode, _messages: Answer(200, json.dumps(rows).encode())

    result = send(bench, entries(2))

    assert outcomes_of(result) == [Outcome.ACCEPTED, outcome]
    assert result.signal is signal


@pytest.mark.parametrize("document", [b"[]", b"[1, 2]", b"{}", b"<html>"])
def test_an_answer_that_postmark_never_gives_is_ambiguous(make: Make, document: bytes) -> None:
    bench = make(Postmark)
    bench.stub.answer = lambda _mode, _messages: Answer(200, document)

    assert outcomes_of(send(bench, entries(2))) == [Outcome.AMBIGUOUS] * 2


def test_an_answer_that_says_nothing_of_somebody_is_ambiguous_for_them(make: Make) -> None:
    told = {"results": {"total_accepted_recipients": 1, "total_rejected_recipients": 1, "id": "1"}}
    bench = make(SparkPost)
    bench.stub.answer = lambda _mode, _messages: Answer(200, json.dumps(told).encode())

    assert outcomes_of(send(bench, entries(2))) == [Outcome.AMBIGUOUS] * 2


def test_mailersend_takes_a_batch_and_names_nobody(make: Make) -> None:
    result = send(make(MailerSend), entries(2))

    assert [found.provider_id for found in result.entries] == ["bulk:614470d1588b866d0454f3e2"] * 2


def test_a_refused_call_is_taken_apart_and_a_refused_single_is_final(make: Make) -> None:
    bench = make(Mailgun)
    bench.stub.answer = lambda _mode, _messages: Answer(400, b'{"message": "to parameter is not a valid address"}')

    assert outcomes_of(send(bench, entries(2))) == [Outcome.RETRY] * 2
    assert send(bench, entries(2)).entries[0].error.startswith("bad_request: HTTP 400")
    assert outcomes_of(send(bench, entries(1))) == [Outcome.REJECTED]


def test_a_redirect_is_not_followed(make: Make) -> None:
    bench = make(Mailgun)
    bench.stub.answer = lambda _mode, _messages: Answer(307, b"", (("Location", f"{bench.stub.url}/elsewhere"),))

    result = send(bench, entries(1))

    assert (outcomes_of(result), result.signal) == ([Outcome.RETRY], Signal.MISCONFIGURED)
    assert bench.handed_over == 1


def test_a_feature_that_a_service_lacks_stops_the_account_and_sends_nothing(make: Make) -> None:
    bench = make(Mailgun)
    provider = bench.provider
    prepared = provider.prepare(email(sender="a@acme.test, b@acme.test"))
    brevo = AnymailProvider(variant="brevo", api_url=bench.stub.url, api_key="key")

    result = brevo.send(brevo.build(brevo.prepare(prepared.email), [entry()], "c" * 32))  # type: ignore[attr-defined]

    assert (outcomes_of(result), result.signal) == ([Outcome.RETRY], Signal.MISCONFIGURED)
    assert bench.handed_over == 0


def test_an_address_that_anymail_does_not_read_is_the_persons(make: Make) -> None:
    bench = make(Mailgun)
    odd = entry(2, address="x@a_b.example.com".replace("_", "-") + ".")
    provider = bench.provider
    call: Any = provider.build(provider.prepare(email()), [entry(1)], "c" * 32)
    call.batches[0].fields["to"] = ["person1@example.com", odd.address + ">"]

    assert outcomes_of(provider.send(call)) == [Outcome.REJECTED]
    assert bench.handed_over == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"variant": "pigeon", "api_key": "k"}, "no service; there are: brevo"),
        ({"variant": "mailgun"}, "Mailgun: .*API_KEY"),
        ({"variant": "mailgun", "api_key": "k", "api_url": "ftp://x"}, "no address of an API"),
        ({"variant": "mailgun", "api_key": "k", "colour": "red"}, "Mailgun has no option .colour"),
    ],
)
def test_what_cannot_be_a_service_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        AnymailProvider(**wrong)


def test_checks_see_whether_the_service_is_there(make: Make) -> None:
    bench = make(Mailgun)

    status = bench.provider.account_status()

    assert (status.sending_enabled, status.max_send_rate, status.max_24_hour_send) == (True, -1, -1)
    assert bench.provider.identity_status("acme.test").verified
    wrong = AnymailProvider(variant="mailgun", api_key="k", api_url="http://[x")
    with pytest.raises(PermanentError, match="settings"):
        wrong.account_status()


def test_connections_do_not_cross_a_fork(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make(Mailgun)
    send(bench, entries(1))
    monkeypatch.setattr("delivery.providers.anymail.provider.os.getpid", lambda: -1)

    assert outcomes_of(send(bench, entries(1))) == [Outcome.ACCEPTED]
    assert bench.connections == 2


@pytest.mark.parametrize(
    ("status", "text", "verdict"),
    [
        (500, "", verdicts.SERVER_ERROR),
        (408, "rate limit", verdicts.SERVER_ERROR),
        (200, "?", verdicts.MALFORMED),
        (302, "", verdicts.SETTINGS),
        (401, "", verdicts.CREDENTIALS),
        (402, "", verdicts.ACCOUNT_PAUSED),
        (403, "The domain acme.test is not verified", verdicts.SENDER_NOT_VERIFIED),
        (403, "Your account has been disabled", verdicts.ACCOUNT_SUSPENDED),
        (404, "", verdicts.SETTINGS),
        (409, "", verdicts.CONFLICT),
        (420, "Rate limit reached", verdicts.THROTTLED),
        (422, "", verdicts.BAD_CALL),
    ],
)
def test_answers_mean_what_they_say(status: int, text: str, verdict: object) -> None:
    assert outcomes.of_answer(status, text, 2) is verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (requests.TooManyRedirects(), verdicts.SETTINGS),
        (requests.exceptions.InvalidURL(), verdicts.SETTINGS),
        (requests.exceptions.InvalidSchema(), verdicts.SETTINGS),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), verdicts.SETTINGS),
        (requests.exceptions.SSLError("bad record"), verdicts.LOST),
        (requests.ConnectTimeout(), verdicts.UNREACHABLE),
        (requests.ReadTimeout(), verdicts.LOST),
        (requests.ConnectionError(urllib3_errors.ProtocolError("aborted")), verdicts.LOST),
    ],
)
def test_broken_connections_mean_what_is_certain(error: Exception, verdict: object) -> None:
    assert outcomes.of_error(error) is verdict


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first

    assert outcomes.of_error(first) is verdicts.LOST


@pytest.mark.parametrize("wrong", ["people", "value"])
def test_a_request_that_cannot_be_written_stops_the_account_and_sends_nothing(make: Make, wrong: str) -> None:
    bench = make(Postmark)
    provider = bench.provider
    call: Any = provider.build(provider.prepare(email()), entries(2), "c" * 32)
    if wrong == "people":
        call.batches[0].fields["as_persons"].pop()
        assert outcomes_of(provider.send(call)) == [Outcome.RETRY] * 2
    else:
        call.batches[0].fields["as_persons"][0]["text"] = object()
        with pytest.raises(TypeError):
            provider.send(call)

    assert bench.handed_over == 0
