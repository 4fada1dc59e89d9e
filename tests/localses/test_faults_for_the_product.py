"""Every fault through HTTP with the product's own provider: what it tells its engine is what Local SES really did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from delivery.providers.base import AmbiguousError, CallResult, Entry, Outcome, OutgoingEmail, Signal, TransientError
from delivery.providers.ses import SesProvider
from localses.errors import EXCEPTIONS
from localses.faults import ENTRY_FAILURES
from tests.localses.running import Json, Running, Subscriber, subscribe, wait_until

ACCEPTED, RETRY, REJECTED, AMBIGUOUS = Outcome.ACCEPTED, Outcome.RETRY, Outcome.REJECTED, Outcome.AMBIGUOUS
EVENTS = ("SEND", "BOUNCE", "DELIVERY", "COMPLAINT")


@pytest.fixture
def provider_for(running: Running) -> Iterator[Callable[..., SesProvider]]:
    made: list[SesProvider] = []

    def make(**options: Any) -> SesProvider:
        made.append(
            SesProvider(
                "us-east-1", endpoint_url=running.url, access_key="localses", secret_key="localses-secret", **options
            )
        )
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def provider(provider_for: Callable[..., SesProvider]) -> SesProvider:
    return provider_for()


def addresses(count: int) -> list[str]:
    return [f"person{number}@example.org" for number in range(count)]


def send(provider: SesProvider, to: Sequence[str], *, configuration_set: str = "") -> CallResult:
    email = OutgoingEmail(
        sender="News <news@example.com>", reply_to=(), subject="Hello {{s0}}", html="<p>{{s0}}</p>", text="{{s0}}",
        configuration_set=configuration_set, segments={},
    )  # fmt: skip
    entries = [Entry(address, {"s0": "you"}, (), f"m-{number}") for number, address in enumerate(to)]
    return provider.send(provider.build(provider.prepare(email), entries, "call"))


def check_against_record(running: Running, to: Sequence[str], result: CallResult) -> list[Outcome]:
    """What is told as accepted was accepted once, under this id; what is told as not sent was not accepted."""
    records = running.records()
    for address, told in zip(to, result.entries, strict=True):
        found = [record for record in records if record["to"] == address]
        if told.outcome is ACCEPTED:
            assert [(record["message_id"], record["answered"]) for record in found] == [(told.provider_id, True)]
        elif told.outcome is AMBIGUOUS:
            assert [record["answered"] for record in found] in ([], [False])
        else:
            assert found == []
    return [told.outcome for told in result.entries]


REFUSED: dict[str, tuple[Outcome, Signal | None]] = {
    "AccountSuspendedException": (RETRY, Signal.ACCOUNT_SUSPENDED),
    "BadRequestException": (REJECTED, None),
    "LimitExceededException": (RETRY, Signal.QUOTA_EXCEEDED),
    "MailFromDomainNotVerifiedException": (RETRY, Signal.SENDER_NOT_VERIFIED),
    "MessageRejected": (REJECTED, None),
    "NotFoundException": (RETRY, Signal.MISCONFIGURED),
    "SendingPausedException": (RETRY, Signal.ACCOUNT_PAUSED),
    "TooManyRequestsException": (RETRY, Signal.THROTTLED),
    "AccessDeniedException": (RETRY, Signal.MISCONFIGURED),
    "ExpiredTokenException": (RETRY, Signal.MISCONFIGURED),
    "IncompleteSignatureException": (RETRY, Signal.MISCONFIGURED),
    "InvalidSignatureException": (RETRY, Signal.MISCONFIGURED),
    "MissingAuthenticationTokenException": (RETRY, Signal.MISCONFIGURED),
    "OptInRequired": (RETRY, Signal.MISCONFIGURED),
    "RequestExpired": (RETRY, Signal.MISCONFIGURED),
    "ThrottlingException": (RETRY, Signal.THROTTLED),
    "UnrecognizedClientException": (RETRY, Signal.MISCONFIGURED),
    "ValidationException": (REJECTED, None),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("code", EXCEPTIONS)
def test_an_exception_means_that_nothing_was_sent(
    running: Running, provider: SesProvider, code: str, count: int
) -> None:
    running.faults({"fault": "exception", "code": code})
    outcome, signal = REFUSED[code]

    result = send(provider, addresses(count))

    # A bulk call that is refused for one of its entries is taken apart, not given up.
    expected = RETRY if count > 1 else outcome
    assert check_against_record(running, addresses(count), result) == [expected] * count
    assert result.signal is signal
    assert running.records() == []
    assert running.fired() == {"exception-1": 1}


FAILURES: dict[str, tuple[Outcome, Signal | None, Outcome]] = {  # of an entry; the last for a call of one by SendEmail
    "MESSAGE_REJECTED": (REJECTED, None, REJECTED),
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": (RETRY, Signal.SENDER_NOT_VERIFIED, RETRY),
    "CONFIGURATION_SET_NOT_FOUND": (RETRY, Signal.MISCONFIGURED, RETRY),
    "TEMPLATE_NOT_FOUND": (RETRY, Signal.MISCONFIGURED, RETRY),
    "ACCOUNT_SUSPENDED": (RETRY, Signal.ACCOUNT_SUSPENDED, RETRY),
    "ACCOUNT_THROTTLED": (RETRY, Signal.THROTTLED, RETRY),
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": (RETRY, Signal.QUOTA_EXCEEDED, RETRY),
    "INVALID_SENDING_POOL_NAME": (RETRY, Signal.MISCONFIGURED, RETRY),
    "ACCOUNT_SENDING_PAUSED": (RETRY, Signal.ACCOUNT_PAUSED, RETRY),
    "CONFIGURATION_SET_SENDING_PAUSED": (RETRY, Signal.ACCOUNT_PAUSED, RETRY),
    "INVALID_PARAMETER": (REJECTED, None, REJECTED),
    "TRANSIENT_FAILURE": (RETRY, None, AMBIGUOUS),
    "FAILED": (RETRY, None, AMBIGUOUS),
}


@pytest.mark.parametrize("status", ENTRY_FAILURES)
def test_an_entry_fails_alone(running: Running, provider: SesProvider, status: str) -> None:
    running.faults({"fault": "entry_failure", "status": status, "to": "PERSON1@*"})
    outcome, signal, alone = FAILURES[status]
    to = addresses(3)

    several, one = send(provider, to), send(provider, to[1:2])

    assert check_against_record(running, to, several) == [ACCEPTED, outcome, ACCEPTED]
    assert several.signal is signal
    assert check_against_record(running, to[1:2], one) == [alone]
    assert (one.signal, running.fired()) == (signal, {"entry_failure-1": 2})


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        *(({"fault": "error", "when": "before", "status": status}, False) for status in (500, 502, 503, 504)),
        *(({"fault": "error", "when": "after", "status": status}, True) for status in (500, 502, 503, 504)),
        ({"fault": "cut", "when": "before"}, False),
        ({"fault": "cut", "when": "after"}, True),
        ({"fault": "cut", "when": "answering"}, True),
    ],
)
def test_a_lost_answer_is_ambiguous_whether_it_was_accepted_or_not(
    running: Running, provider: SesProvider, fault: Json, accepted: bool, count: int
) -> None:
    running.faults({**fault, "name": "lost", "times": 1})

    lost = send(provider, addresses(count))
    after = send(provider, ["later@example.org"])

    assert check_against_record(running, addresses(count), lost) == [AMBIGUOUS] * count
    assert (lost.signal, running.fired()) == (None, {"lost": 1})
    # The next call is not disturbed: no connection is out of step.
    assert check_against_record(running, ["later@example.org"], after) == [ACCEPTED]
    known = {record["to"]: (record["answered"], record["faults"]) for record in running.records()}
    assert known == dict.fromkeys(addresses(count) if accepted else [], (False, ["lost"])) | {
        "later@example.org": (True, [])
    }
    assert running.stats()["unanswered"] == (count if accepted else 0)


@pytest.mark.parametrize("count", [1, 3])
def test_an_answer_that_outlasts_the_patience_is_ambiguous_and_the_mail_accepted(
    running: Running, provider_for: Callable[..., SesProvider], count: int
) -> None:
    running.faults({"fault": "latency", "ms": 900})

    result = send(provider_for(read_timeout_seconds=0.3), addresses(count))

    assert [told.outcome for told in result.entries] == [AMBIGUOUS] * count
    wait_until(lambda: [record["to"] for record in running.records()] == addresses(count))


def test_a_call_that_is_looked_at_late_is_accepted_after_the_client_has_gone(
    running: Running, provider_for: Callable[..., SesProvider]
) -> None:
    running.faults({"fault": "latency", "ms": 1500, "when": "before", "times": 1})

    result = send(provider_for(read_timeout_seconds=0.3), addresses(2))
    at_once = running.records()

    assert [told.outcome for told in result.entries] == [AMBIGUOUS, AMBIGUOUS]
    assert at_once == []
    wait_until(lambda: [record["to"] for record in running.records()] == addresses(2))


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "latency", "ms": 300},
        {"fault": "latency", "ms": 300, "when": "before"},
        {"fault": "latency", "ms": 300, "jitter_ms": 100},
        {"fault": "slow_answer", "ms": 300},
    ],
)
def test_a_slow_answer_is_an_answer(running: Running, provider: SesProvider, fault: Json) -> None:
    running.faults(fault)

    result = send(provider, addresses(3))

    assert check_against_record(running, addresses(3), result) == [ACCEPTED] * 3
    assert result.seconds >= 0.3


def test_an_answer_in_drops_is_ambiguous_when_it_takes_too_long(
    running: Running, provider_for: Callable[..., SesProvider]
) -> None:
    running.faults({"fault": "slow_answer", "ms": 3000, "times": 1})
    provider = provider_for(read_timeout_seconds=0.5)
    started = time.monotonic()

    result = send(provider, addresses(3))

    assert [told.outcome for told in result.entries] == [AMBIGUOUS] * 3
    assert time.monotonic() - started < 2.5  # every drop comes in time; the whole does not
    wait_until(lambda: [record["to"] for record in running.records()] == addresses(3))
    assert check_against_record(running, ["z@example.org"], send(provider, ["z@example.org"])) == [ACCEPTED]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("kind", "signal", "status"),
    [
        ("throttle", Signal.THROTTLED, {}),
        ("daily_quota", Signal.QUOTA_EXCEEDED, {"sent_last_24_hours": 1_000_000}),
        ("account_paused", Signal.ACCOUNT_PAUSED, {"sending_enabled": False}),
        (
            "account_suspended",
            Signal.ACCOUNT_SUSPENDED,
            {"sending_enabled": False, "enforcement_status": "SHUTDOWN"},
        ),
    ],
)
def test_an_account_that_may_not_send_says_so_on_both_ways(
    running: Running, provider: SesProvider, kind: str, signal: Signal, status: Json, count: int
) -> None:
    healthy = {"sending_enabled": True, "enforcement_status": "HEALTHY", "sent_last_24_hours": 0}
    running.faults({"fault": kind})

    result = send(provider, addresses(count))
    account = provider.account_status()
    running.faults()

    assert check_against_record(running, addresses(count), result) == [RETRY] * count
    assert result.signal is signal
    expected = healthy | status
    assert {name: getattr(account, name) for name in expected} == expected
    assert {name: getattr(provider.account_status(), name) for name in healthy} == healthy


def test_an_account_under_review_goes_on_sending(running: Running, provider: SesProvider) -> None:
    running.faults({"fault": "account_under_review", "times": 1})

    statuses = [provider.account_status().enforcement_status for _ in range(2)]
    result = send(provider, addresses(3))

    assert statuses == ["PROBATION", "HEALTHY"]
    assert check_against_record(running, addresses(3), result) == [ACCEPTED] * 3
    assert running.fired() == {"account_under_review-1": 1}


@pytest.mark.parametrize("count", [1, 3])
def test_an_identity_that_is_not_verified_any_more(running: Running, provider: SesProvider, count: int) -> None:
    running.faults({"fault": "identity_unverified", "identity": "EXAMPLE.*"})

    result = send(provider, addresses(count))
    identity = provider.identity_status("news@example.com")
    listed = {one["IdentityName"]: one for one in running.client("sesv2").list_email_identities()["EmailIdentities"]}
    running.faults({"fault": "identity_unverified", "identity": "other.example"})

    assert check_against_record(running, addresses(count), result) == [RETRY] * count
    assert result.signal is Signal.SENDER_NOT_VERIFIED
    assert (identity.verified, identity.detail) == (False, "FAILED")
    assert listed["example.com"]["SendingEnabled"] is False
    assert listed["example.com"]["VerificationStatus"] == "FAILED"
    assert provider.identity_status("news@example.com").verified
    assert check_against_record(running, addresses(count), send(provider, addresses(count))) == [ACCEPTED] * count


def test_reading_the_account_can_fail_too(running: Running, provider: SesProvider) -> None:
    running.faults(
        {"fault": "throttle", "operations": ["GetAccount"], "times": 1},
        {"fault": "cut", "when": "before", "operations": ["GetAccount"], "times": 1},
        {"fault": "cut", "when": "answering", "operations": ["GetAccount"], "times": 1},
        {"fault": "error", "when": "after", "operations": ["GetAccount"], "times": 1},
    )

    with pytest.raises(TransientError):
        provider.account_status()
    for _ in range(3):
        with pytest.raises(AmbiguousError):
            provider.account_status()

    assert provider.account_status().sending_enabled
    assert set(running.fired().values()) == {1}


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("throttle", RETRY),
        ("daily-quota", RETRY),
        ("account-paused", RETRY),
        ("account-suspended", RETRY),
        ("identity-unverified", RETRY),
        ("message-rejected", REJECTED),
        ("error-before", AMBIGUOUS),
        ("error-after", AMBIGUOUS),
        ("cut-before", AMBIGUOUS),
        ("cut-after", AMBIGUOUS),
        ("cut-answering", AMBIGUOUS),
        ("entry-invalid-parameter", REJECTED),
    ],
)
def test_an_address_brings_its_fault_with_it(
    running: Running, provider: SesProvider, name: str, what: str, outcome: Outcome
) -> None:
    to = [f"{name}+fault-{what}.1@example.org"]

    first, second = send(provider, to), send(provider, ["other@example.org"])
    was_accepted = bool(running.records()[:-1])

    assert [told.outcome for told in first.entries] == [outcome]
    assert check_against_record(running, ["other@example.org"], second) == [ACCEPTED]
    assert was_accepted is what.endswith(("-after", "-answering"))
    if not was_accepted:
        assert check_against_record(running, to, send(provider, to)) == [ACCEPTED]
    counted = running.get("/_localses/faults").json()["addresses"]
    assert {"address": to[0], "name": f"address:{what}", "fired": 1} in counted
    assert provider.account_status().sending_enabled


def test_one_person_is_found_in_the_record(running: Running, provider: SesProvider) -> None:
    running.faults({"fault": "cut", "when": "after", "times": 1, "name": "gone"})
    send(provider, ["ana@example.org", "banana@example.org"])
    send(provider, ["ana@example.org", "ben@example.org"])

    found = running.get("/_localses/messages?to=ANA@example.org").json()
    first = running.get("/_localses/messages?to=ana@example.org&limit=1").json()

    assert [(record["to"], record["answered"], record["faults"]) for record in found["messages"]] == [
        ("ana@example.org", False, ["gone"]),
        ("ana@example.org", True, []),
    ]
    assert found["next"] is None
    assert first["next"] == first["messages"][0]["id"] == found["messages"][0]["id"]


# ---- events -------------------------------------------------------------------------------------------------


def kinds(listener: Subscriber, to: str) -> list[str]:
    return [event["eventType"] for event in listener.events() if event["mail"]["destination"] == [to]]


def test_missing_events_never_arrive_and_the_record_says_whose(
    running: Running, provider: SesProvider, name: str, listener: Subscriber
) -> None:
    subscribe(running, listener, *EVENTS, name=name)
    running.faults({"fault": "missing_events", "events": ["SEND"], "to": "person0@*", "name": "silence"})

    send(provider, addresses(2), configuration_set=name)
    running.settle()

    assert kinds(listener, "person0@example.org") == ["Delivery"]
    assert sorted(kinds(listener, "person1@example.org")) == ["Delivery", "Send"]
    assert [(record["answered"], record["faults"]) for record in running.records()] == [
        (True, ["silence"]),
        (True, []),
    ]


def test_a_bounce_that_nobody_hears_of_is_suppressed_all_the_same(running: Running, provider: SesProvider) -> None:
    address = "dead@example.org"
    running.settings(bounce_rate=1)
    running.faults({"fault": "missing_events"})

    send(provider, [address])
    running.settle()

    suppressed = running.client("sesv2").get_suppressed_destination(EmailAddress=address)["SuppressedDestination"]
    assert suppressed["Reason"] == "BOUNCE"
    running.client("sesv2").delete_suppressed_destination(EmailAddress=address)


@pytest.mark.parametrize("same_id", [True, False])
def test_duplicate_events_repeat_one_thing_under_one_id_or_several(
    running: Running, provider: SesProvider, name: str, listener: Subscriber, same_id: bool
) -> None:
    subscribe(running, listener, "BOUNCE", "DELIVERY", name=name)
    address = f"bounce+{name}@simulator.amazonses.com"
    running.faults({"fault": "duplicate_events", "events": ["BOUNCE"], "copies": 2, "same_id": same_id, "ms": 50})

    send(provider, [address, "ana@example.org"], configuration_set=name)
    running.settle()

    bounces = listener.of_type("Bounce")
    ids = {e["MessageId"] for e in listener.envelopes() if '"eventType":"Bounce"' in e.get("Message", "")}
    assert (len(bounces), len(ids)) == (3, 1 if same_id else 3)
    assert len({(b["bounce"]["feedbackId"], b["bounce"]["timestamp"]) for b in bounces}) == 1
    assert len(listener.of_type("Delivery")) == 1
    assert running.fired() == {"duplicate_events-1": 1}


def test_late_events_tell_their_true_time(
    running: Running, provider: SesProvider, name: str, listener: Subscriber
) -> None:
    subscribe(running, listener, "SEND", "DELIVERY", name=name)
    running.faults({"fault": "late_events", "events": ["DELIVERY"], "ms": 800})

    send(provider, ["ana@example.org"], configuration_set=name)
    accepted = time.monotonic()
    wait_until(lambda: listener.of_type("Send"))
    early = listener.of_type("Delivery")
    wait_until(lambda: listener.of_type("Delivery"))

    assert early == []
    assert time.monotonic() - accepted >= 0.7
    [delivered] = listener.of_type("Delivery")
    assert delivered["delivery"]["processingTimeMillis"] < 100


def test_reordered_events_come_last_first(
    running: Running, provider: SesProvider, name: str, listener: Subscriber
) -> None:
    subscribe(running, listener, *EVENTS, name=name)
    running.faults({"fault": "reordered_events", "gap_ms": 150})
    address = f"complaint+{name}@simulator.amazonses.com"

    send(provider, [address], configuration_set=name)
    running.settle()

    assert kinds(listener, address) == ["Complaint", "Delivery", "Send"]
    assert running.records()[0]["faults"] == ["reordered_events-1"]


def test_events_of_a_lost_answer_still_arrive(
    running: Running, provider: SesProvider, name: str, listener: Subscriber
) -> None:
    subscribe(running, listener, "SEND", name=name)
    running.faults({"fault": "error", "when": "after"}, {"fault": "duplicate_events"})

    result = send(provider, addresses(2), configuration_set=name)
    running.settle()

    assert check_against_record(running, addresses(2), result) == [AMBIGUOUS, AMBIGUOUS]
    heard = sorted((event["mail"]["messageId"], event["mail"]["tags"]["m"][0]) for event in listener.events())
    expected = sorted((record["message_id"], record["tags"]["m"]) for record in running.records())
    assert heard == sorted(expected * 2)
    assert [record["faults"] for record in running.records()] == [["error-1", "duplicate_events-1"]] * 2
