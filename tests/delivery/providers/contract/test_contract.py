"""What every provider does alike, against real local servers of its service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from delivery.providers.base import CallResult, Entry, Outcome, PermanentError, Provider, Signal, TransientError
from tests.delivery.providers.contract.bench import Bench, email, entries, entry
from tests.delivery.providers.contract.benches import BENCHES

CALL = uuid4().hex


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    make: Callable[[], Bench] = BENCHES[request.param]
    made = make()
    yield made
    made.stop()


def able(bench: Bench, mode: str) -> None:
    if mode not in bench.can:
        pytest.skip(f"this service can't say {mode}")


def send(provider: Provider, people: list[Entry]) -> CallResult:
    """In as many calls as the service's limit makes necessary; told as one."""
    prepared = provider.prepare(email())
    most = provider.limits.entries_per_call
    calls = [people[start : start + most] for start in range(0, len(people), most)]
    results = [provider.send(provider.build(prepared, call, CALL)) for call in calls]
    told = next((result for result in results if result.signal), results[0])
    return CallResult(
        [entry for result in results for entry in result.entries],
        told.signal,
        told.detail,
        sum(result.seconds for result in results),
    )


def outcomes(result: CallResult) -> list[Outcome]:
    return [found.outcome for found in result.entries]


def test_everybody_is_accepted_once_with_an_id(bench: Bench) -> None:
    people = entries(3)

    result = send(bench.provider, people)

    assert outcomes(result) == [Outcome.ACCEPTED] * 3
    assert all(found.provider_id and not found.error for found in result.entries)
    assert (result.signal, result.detail) == (None, "")
    assert [one.to for one in bench.received] == [person.address for person in people]


def test_a_single_recipient_gets_the_same_email(bench: Bench) -> None:
    result = send(bench.provider, [entry(7)])

    assert outcomes(result) == [Outcome.ACCEPTED]
    assert [(one.to, one.subject) for one in bench.received] == [("person7@example.com", "Hello Zoë &amp; <b>7</b>")]
    assert bench.received[0].tags == {"m": "token-7_x", "c": CALL}


def test_each_recipient_gets_their_own_values_and_the_constants_as_they_are(bench: Bench) -> None:
    send(bench.provider, entries(2))

    for number, one in enumerate(bench.received, start=1):
        assert one.subject == f"Hello Zoë &amp; <b>{number}</b>"
        html = email().html.replace("{{s0}}", f"Zoë &amp; <b>{number}</b>").replace("{{s1}}", f"{number}?q=%22")
        assert one.html == html
        assert one.text == email().text.replace("{{s0}}", f"Zoë &amp; <b>{number}</b>")
    everything = repr(bench.received[0])
    assert "person2" not in everything
    assert "token-2" not in everything


def test_headers_are_the_emails_and_the_recipients_own(bench: Bench) -> None:
    send(bench.provider, entries(2))

    for number, one in enumerate(bench.received, start=1):
        headers = {name.lower(): value for name, value in one.headers.items()}
        assert headers["list-unsubscribe"] == f"<https://acme.test/u/{number}?m=token-{number}_x>"
        assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        assert headers["list-id"] == "News <list-1.acme.test>"
        assert headers["feedback-id"] == "1:2:campaign:amazonsender"
        assert one.tags == {"m": f"token-{number}_x", "c": CALL}


def test_a_recipients_own_header_replaces_the_shared_one(bench: Bench) -> None:
    own = entry(1, headers=(("List-Unsubscribe", "<https://acme.test/u/1>"), ("List-Id", "<own.acme.test>")))

    send(bench.provider, [own, entry(2)])

    found = [{name.lower(): value for name, value in one.headers.items()}["list-id"] for one in bench.received]
    assert found == ["<own.acme.test>", "News <list-1.acme.test>"]


def test_one_refused_recipient_leaves_the_others_accepted(bench: Bench) -> None:
    able(bench, "refuse_one")
    bench.set_mode("refuse_one")

    result = send(bench.provider, entries(3))

    assert outcomes(result) == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
    assert result.entries[1].error
    assert not result.entries[1].provider_id


@pytest.mark.parametrize(
    ("mode", "signal"),
    [
        ("throttle", Signal.THROTTLED),
        ("quota", Signal.QUOTA_EXCEEDED),
        ("credentials", Signal.MISCONFIGURED),
    ],
)
def test_a_refusal_for_the_accounts_sake_is_tried_again_by_everybody(bench: Bench, mode: str, signal: Signal) -> None:
    able(bench, mode)
    bench.set_mode(mode)

    result = send(bench.provider, entries(3))

    assert outcomes(result) == [Outcome.RETRY] * 3
    assert result.signal is signal
    assert result.detail
    assert bench.received == []


def test_a_service_that_nobody_runs_is_unreachable(bench: Bench) -> None:
    provider = bench.unreachable()

    result = send(provider, entries(2))

    assert outcomes(result) == [Outcome.RETRY] * 2
    assert result.signal is Signal.UNREACHABLE


def test_a_connection_that_is_cut_after_the_hand_over_is_ambiguous_and_nothing_is_sent_again(bench: Bench) -> None:
    bench.set_mode("cut")

    result = send(bench.provider, [entry()])

    assert outcomes(result) == [Outcome.AMBIGUOUS]
    assert bench.handed_over == 1


def test_silence_after_the_hand_over_is_ambiguous(bench: Bench) -> None:
    provider = bench.again(read_timeout_seconds=0.2)
    bench.set_mode("wait")

    result = send(provider, [entry()])

    assert outcomes(result) == [Outcome.AMBIGUOUS]
    assert "timed out" in result.entries[0].error
    assert 0.1 < result.seconds < 5
    assert bench.handed_over == 1


def test_an_error_of_the_server_is_ambiguous(bench: Bench) -> None:
    able(bench, "server_error")
    bench.set_mode("server_error")

    result = send(bench.provider, entries(2))

    assert outcomes(result) == [Outcome.AMBIGUOUS] * 2
    assert bench.handed_over == (1 if bench.provider.limits.entries_per_call > 1 else 2)


def test_one_connection_is_kept(bench: Bench) -> None:
    for number in range(3):
        send(bench.provider, [entry(number)])

    assert bench.connections == 1
    assert len(bench.received) == 3


def test_a_connection_that_the_server_closed_while_idle_is_opened_again(bench: Bench) -> None:
    bench.set_mode("close_idle")
    send(bench.provider, [entry(1)])
    bench.wait_for_close()
    bench.set_mode("accept")

    result = send(bench.provider, [entry(2)])

    assert outcomes(result) == [Outcome.ACCEPTED]
    assert bench.connections == 2
    assert [one.to for one in bench.received] == ["person1@example.com", "person2@example.com"]


def test_threads_share_a_provider(bench: Bench) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda number: send(bench.provider, [entry(number)]), range(12)))

    assert {outcome for result in results for outcome in outcomes(result)} == {Outcome.ACCEPTED}
    assert sorted(one.to for one in bench.received) == sorted(f"person{number}@example.com" for number in range(12))
    assert bench.connections <= 4


def test_a_call_is_filled_to_the_services_limit_and_no_further(bench: Bench) -> None:
    most = bench.provider.limits.entries_per_call
    prepared = bench.provider.prepare(email())

    call = bench.provider.build(prepared, entries(most), CALL)

    assert call.size > 0
    for people in ([], [entry(number) for number in range(most + 1)]):
        with pytest.raises(PermanentError, match="entries"):
            bench.provider.build(prepared, people, CALL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "a@example.com, b@example.com"},
        {"address": "a@example.com\r\nBcc: b@example.com"},
        {"headers": (("List-Unsubscribe", "<https://acme.test/u>\r\nBcc: b@example.com"),)},
        {"headers": (("To", "b@example.com"),)},
        {"headers": (("X-A", "1"), ("x-a", "2"))},
        {"tag": "not a tag"},
    ],
)
def test_an_entry_that_cannot_be_sent_is_named(bench: Bench, wrong: dict[str, object]) -> None:
    prepared = bench.provider.prepare(email())
    people = [entry(1), entry(2, **wrong)][-bench.provider.limits.entries_per_call :]

    with pytest.raises(PermanentError, match=rf"entry {len(people)}: (address|header|tag)"):
        bench.provider.build(prepared, people, CALL)

    assert bench.handed_over == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": ""},
        {"html": "", "text": ""},
        {"sender": "Zoë <news@acme.test>"},
        {"sender": "news@acme.test\r\nBcc: b@example.com"},
        {"headers": (("Subject", "Another"),)},
    ],
)
def test_an_email_that_cannot_be_sent_is_refused_before_anything_is_built(
    bench: Bench, wrong: dict[str, object]
) -> None:
    with pytest.raises(PermanentError):
        bench.provider.prepare(email(**wrong))


def test_what_another_provider_prepared_is_refused(bench: Bench) -> None:
    with pytest.raises(TypeError):
        bench.provider.build("something", [entry()], CALL)
    with pytest.raises(TypeError):
        bench.provider.send("something")  # type: ignore[arg-type]


def test_a_closed_provider_may_be_used_again(bench: Bench) -> None:
    send(bench.provider, [entry(1)])
    bench.provider.close()
    bench.provider.close()

    assert outcomes(send(bench.provider, [entry(2)])) == [Outcome.ACCEPTED]


def test_asking_an_account_that_cannot_be_reached_says_so(bench: Bench) -> None:
    with pytest.raises(TransientError):
        bench.unreachable().account_status()
