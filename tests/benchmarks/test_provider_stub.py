"""The witness of the benchmarks must not be fooled: not by signatures, repeats, empty content or half a call."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import boto3
import orjson
import pytest
from botocore.exceptions import ClientError

from delivery.providers.base import Entry, Outcome, OutgoingEmail, Signal
from delivery.providers.ses import SesProvider
from tests.benchmarks.provider_stub import StubProcess, entry_digest
from tests.benchmarks.provider_stub.calls import CallReader, MalformedError
from tests.benchmarks.provider_stub.record import Record
from tests.benchmarks.provider_stub.server import Server
from tests.benchmarks.provider_stub.service import Service, Settings
from tests.benchmarks.provider_stub.signature import SignatureChecker

EMAIL = OutgoingEmail(
    sender="news@acme.test",
    reply_to=(),
    subject="Hello {{s0}}",
    html="<p>Hello {{s0}}, this is news.</p>" * 10,
    text="Hello {{s0}}",
)


def people(count: int, start: int = 0) -> list[Entry]:
    return [
        Entry(f"p{n}@example.com", {"s0": f'Zoë "{n}"'}, (("X-N", f'"{n}"'),), f"tag-{n}")
        for n in range(start, start + count)
    ]


def digest(entries: list[Entry]) -> int:
    return sum(entry_digest(entry.address, orjson.dumps(entry.values).decode()) for entry in entries) % 2**64


@pytest.fixture
def service() -> Service:
    return Service(settings=Settings(), checker=SignatureChecker("STUB", "stub-secret"))


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener, service)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.stop()
    thread.join()
    server.close()


@pytest.fixture
def provider(url: str) -> Iterator[SesProvider]:
    provider = SesProvider("eu-central-1", endpoint_url=url, access_key="STUB", secret_key="stub-secret")
    yield provider
    provider.close()


Send = Callable[..., Any]


@pytest.fixture
def send(provider: SesProvider) -> Send:
    def run(entries: list[Entry], email: OutgoingEmail = EMAIL, by: SesProvider = provider) -> Any:
        return by.send(by.build(by.prepare(email), entries, "c0ffee"))

    return run


def stats(url: str) -> dict[str, Any]:
    with urlopen(f"{url}/_stub/stats", timeout=5) as response:
        document: dict[str, Any] = orjson.loads(response.read())
        return document


def post(url: str, path: str, document: object) -> dict[str, Any]:
    with urlopen(HttpRequest(url + path, data=orjson.dumps(document), method="POST"), timeout=5) as response:
        answer: dict[str, Any] = orjson.loads(response.read())
        return answer


def test_recipients_bytes_and_values_are_counted(send: Send, url: str) -> None:
    calls = [people(50), people(30, 50), people(1, 80)]

    results = [send(entries) for entries in calls]

    assert [len(result.entries) for result in results] == [50, 30, 1]
    ids = {one.provider_id for result in results for one in result.entries}
    assert len(ids) == 81
    found = stats(url)
    assert {name: found[name] for name in ("calls", "recipients", "distinct", "duplicates", "empty_values")} == {
        "calls": 3,
        "recipients": 81,
        "distinct": 81,
        "duplicates": 0,
        "empty_values": 0,
    }
    assert found["values_digest"] == digest([entry for entries in calls for entry in entries])
    assert found["sampled_values"] == 3
    assert found["bytes"] > 10_000
    assert sum(count for _, count in found["per_second"]) == found["recipients"]


def test_a_repeated_recipient_is_seen(send: Send, url: str) -> None:
    send(people(3))
    send(people(1, 2))

    found = stats(url)
    assert (found["recipients"], found["distinct"], found["duplicates"]) == (4, 3, 1)


def test_empty_values_are_seen_and_change_the_digest(send: Send, url: str) -> None:
    empty = [entry._replace(values={"s0": ""}) for entry in people(2)]

    send(empty)

    assert stats(url)["empty_values"] == 1
    assert stats(url)["values_digest"] == digest(empty) != digest(people(2))


def test_a_wrong_signature_is_refused_and_counted(send: Send, url: str) -> None:
    forger = SesProvider("eu-central-1", endpoint_url=url, access_key="STUB", secret_key="other")

    result = send(people(2), by=forger)

    assert result.signal is Signal.MISCONFIGURED
    assert (stats(url)["bad_signatures"], stats(url)["recipients"]) == (1, 0)
    forger.close()


def test_a_changed_body_is_refused(provider: SesProvider, url: str) -> None:
    call: Any = provider.build(provider.prepare(EMAIL), people(2), "c0ffee")

    for old, new in ((b"p1@example.com", b"q1@example.com"), (b"this is news", b"this is fake")):
        result = provider.send(replace(call, request=call.request.replace(old, new)))
        assert result.signal is Signal.MISCONFIGURED
    assert provider.send(call).entries[0].outcome is Outcome.ACCEPTED

    assert stats(url)["bad_signatures"] == 2


def test_two_emails_that_alternate_are_both_checked(send: Send, url: str) -> None:
    other = replace(EMAIL, html="<p>Something else.</p>" * 20)

    for number in range(20):
        result = send(people(2, 2 * number), email=EMAIL if number % 2 else other)
        assert result.entries[0].outcome is Outcome.ACCEPTED

    assert (stats(url)["distinct"], stats(url)["bad_signatures"]) == (40, 0)


def test_an_email_without_content_is_refused(send: Send, url: str) -> None:
    result = send(people(2), email=replace(EMAIL, html="x", text=""))

    assert result.detail == "bad_request: an email without content"
    assert stats(url)["malformed"] == 1


def test_account_and_identity_are_told(provider: SesProvider, url: str) -> None:
    post(url, "/_stub/settings", {"max_send_rate": 14})

    assert provider.account_status().max_send_rate == 14.0
    assert provider.identity_status("news@acme.test").verified is True


def test_shares_of_calls_fail_evenly(send: Send, url: str) -> None:
    post(url, "/_stub/settings", {"error_share": 0.5})
    errors = [send(people(1, n)).entries[0].outcome for n in range(4)]
    post(url, "/_stub/settings", {"error_share": 0, "throttle_share": 0.25})
    throttled = [send(people(1, n)).signal for n in range(4)]

    assert errors == [Outcome.ACCEPTED, Outcome.AMBIGUOUS] * 2
    assert throttled == [None, None, None, Signal.THROTTLED]
    assert (stats(url)["errors"], stats(url)["throttled"]) == (2, 1)


def test_a_rate_above_the_limit_is_throttled(send: Send, url: str) -> None:
    post(url, "/_stub/settings", {"throttle": 10})

    signals = [send(people(5, 5 * n)).signal for n in range(3)]

    assert signals == [None, Signal.THROTTLED, Signal.THROTTLED]
    assert stats(url)["recipients"] == 5


def test_latency_delays_calls_but_not_each_other(send: Send, url: str) -> None:
    post(url, "/_stub/settings", {"latency_ms": 200})
    started = time.monotonic()

    threads = [threading.Thread(target=send, args=(people(2, 2 * n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0.2 <= time.monotonic() - started < 0.8
    found = stats(url)
    assert (found["calls"], found["max_in_flight"]) == (4, 4)


def test_a_reset_starts_from_zero(send: Send, url: str) -> None:
    send(people(2))

    post(url, "/_stub/reset", {})
    send(people(2))

    assert (stats(url)["recipients"], stats(url)["duplicates"]) == (2, 0)


def test_an_unknown_setting_is_refused(url: str) -> None:
    with pytest.raises(HTTPError, match="400"):
        post(url, "/_stub/settings", {"latency": 5})


def test_a_request_in_pieces_is_put_together(provider: SesProvider, url: str) -> None:
    call: Any = provider.build(provider.prepare(EMAIL), people(2), "c0ffee")
    host, port = url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port))) as client:
        for start in range(0, len(call.request), 700):
            client.sendall(call.request[start : start + 700])
            time.sleep(0.001)
        answer = client.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert stats(url)["recipients"] == 2


@pytest.mark.parametrize(
    "options", [orjson.OPT_SORT_KEYS, orjson.OPT_INDENT_2, orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2]
)
def test_json_written_in_another_way_is_read_all_the_same(provider: SesProvider, options: int) -> None:
    call: Any = provider.build(provider.prepare(EMAIL), people(3), "c0ffee")
    body = call.request.partition(b"\r\n\r\n")[2]
    document = orjson.loads(body)
    other = orjson.dumps(document, option=options)

    usual = CallReader().bulk(bytearray(body), 0, len(body))
    unusual = CallReader().bulk(bytearray(other), 0, len(other))

    assert usual[:3] == unusual[:3]
    assert usual.tags == [b"tag-0", b"tag-1", b"tag-2"]
    assert usual.data[1] == rb"{\"s0\":\"Zo\xc3\xab \\\"1\\\"\"}".replace(rb"\xc3\xab", "ë".encode())


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"DefaultContent":{},"DefaultEmailTags":[]}'])
def test_what_is_no_call_is_malformed(body: bytes) -> None:
    for read in (CallReader().bulk, CallReader().single):
        with pytest.raises(MalformedError):
            read(bytearray(body), 0, len(body))


@pytest.fixture
def ses(url: str) -> Any:
    return boto3.client(
        "sesv2",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="STUB",
        aws_secret_access_key="stub-secret",
    )


def test_amazons_own_client_sends_in_bulk_by_a_stored_template(ses: Any, url: str) -> None:
    content = {"Subject": "Hello {{name}}", "Html": "<p>Hello {{name}}, this is news.</p>" * 10}
    ses.create_email_template(TemplateName="news", TemplateContent=content)

    for start in (0, 1):
        answer = ses.send_bulk_email(
            FromEmailAddress="news@acme.test",
            DefaultContent={"Template": {"TemplateName": "news", "TemplateData": "{}"}},
            BulkEmailEntries=[
                {
                    "Destination": {"ToAddresses": [f"p{n}@example.com"]},
                    "ReplacementEmailContent": {
                        "ReplacementTemplate": {"ReplacementTemplateData": orjson.dumps({"name": f"p{n}"}).decode()}
                    },
                }
                for n in range(start, start + 2)
            ],
        )
        assert [result["Status"] for result in answer["BulkEmailEntryResults"]] == ["SUCCESS", "SUCCESS"]

    found = stats(url)
    assert (found["recipients"], found["people"], found["duplicates"]) == (4, 3, 1)
    assert (found["bad_signatures"], found["empty_values"]) == (0, 0)


def test_a_template_that_nobody_stored_is_refused(ses: Any, url: str) -> None:
    with pytest.raises(ClientError, match="BadRequestException"):
        ses.send_email(
            FromEmailAddress="news@acme.test",
            Destination={"ToAddresses": ["p1@example.com"]},
            Content={"Template": {"TemplateName": "news", "TemplateData": "{}"}},
        )

    assert (stats(url)["malformed"], stats(url)["recipients"]) == (1, 0)


def test_an_email_that_comes_whole_counts_by_its_address(ses: Any, url: str) -> None:
    for address in ("p1@example.com", "p2@example.com", "p1@example.com"):
        answer = ses.send_email(
            Destination={"ToAddresses": [address]},
            Content={"Raw": {"Data": b"Subject: News\r\n\r\n" + b"News. " * 100}},
        )
        assert answer["ResponseMetadata"]["RequestId"]
    with pytest.raises(ClientError, match="an email without content"):
        ses.send_email(Destination={"ToAddresses": ["p3@example.com"]}, Content={"Raw": {"Data": b"Subject: x"}})

    found = stats(url)
    assert (found["recipients"], found["people"], found["malformed"]) == (3, 2, 1)
    asked = HttpRequest(url + "/_stub/accepted", data=orjson.dumps(["p3@example.com", "p2@example.com"]), method="POST")
    with urlopen(asked, timeout=5) as answer:
        assert orjson.loads(answer.read()) == ["p2@example.com"]


def test_the_busiest_second_slides() -> None:
    record = Record()
    record.bins.update({0: 5, 60: 10, 99: 20, 100: 40, 159: 80, 160: 1, 300: 140})

    assert record.stats()["busiest_second"] == 10 + 20 + 40 + 80
    assert record.stats()["per_second"] == [[0, 35], [1, 121], [3, 140]]


def test_the_process_serves_and_stops() -> None:
    with StubProcess(latency_ms=1) as stub:
        stub.change(max_send_rate=5)
        stub.reset()
        assert stub.stats()["calls"] == 0
        assert stub.pid > 0
