"""What becomes of a call when the network or the server misbehaves: the line between "not sent" and "nobody knows"."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.providers.base import CallResult, EntryResult, Outcome, OutgoingEmail, Signal
from delivery.providers.ses import SesProvider
from delivery.providers.ses.connections import ConnectionPool, NotHandedOverError
from tests.delivery.providers.ses.conftest import entries, success
from tests.delivery.providers.ses.scripted_server import (
    ScriptedServer,
    Step,
    answer,
    answer_and_close,
    close_at_once,
    drip,
    http_answer,
    read_then_close,
    read_then_wait,
    send_raw,
)

Script = Callable[..., ScriptedServer]
ProviderFor = Callable[..., SesProvider]

TWO_ACCEPTED = {"BulkEmailEntryResults": [success(1), success(2)]}
ACCEPTED = [EntryResult(Outcome.ACCEPTED, "id-1", ""), EntryResult(Outcome.ACCEPTED, "id-2", "")]


def send(provider: SesProvider, email: OutgoingEmail, count: int = 2) -> CallResult:
    return provider.send(provider.build(provider.prepare(email), entries(count), "c0ffee"))


def outcomes(result: CallResult) -> list[Outcome]:
    return [one.outcome for one in result.entries]


def test_a_bulk_call_gives_each_recipient_its_message_id(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(answer(200, TWO_ACCEPTED))

    result = send(provider_for(server), email)

    assert result.entries == ACCEPTED
    assert (result.signal, result.detail) == (None, "")
    assert 0 < result.seconds < 5
    assert [request.path for request in server.requests] == ["/v2/email/outbound-bulk-emails"]


def test_a_single_recipient_goes_by_send_email(script: Script, provider_for: ProviderFor, email: OutgoingEmail) -> None:
    server = script(answer(200, {"MessageId": "id-1"}))

    result = send(provider_for(server), email, count=1)

    assert result.entries == ACCEPTED[:1]
    assert [request.path for request in server.requests] == ["/v2/email/outbound-emails"]


def test_a_path_of_the_endpoint_goes_before_the_operation(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(answer(200, TWO_ACCEPTED))

    send(provider_for(f"{server.url}/ses/"), email)

    assert [request.path for request in server.requests] == ["/ses/v2/email/outbound-bulk-emails"]


def test_calls_share_a_connection(script: Script, provider_for: ProviderFor, email: OutgoingEmail) -> None:
    server = script(*[answer(200, TWO_ACCEPTED)] * 3)
    provider = provider_for(server)

    for _ in range(3):
        assert outcomes(send(provider, email)) == [Outcome.ACCEPTED] * 2

    assert (server.connections, len(server.requests)) == (1, 3)


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(answer_and_close(200, TWO_ACCEPTED), answer(200, TWO_ACCEPTED))
    provider = provider_for(server)
    send(provider, email)
    assert server.closed_one.wait(5)

    result = send(provider, email)

    assert outcomes(result) == [Outcome.ACCEPTED] * 2
    assert server.connections == 2


def test_a_connection_is_not_used_again_after_its_idle_limit(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(answer(200, TWO_ACCEPTED), answer(200, TWO_ACCEPTED))
    provider = provider_for(server, max_idle_seconds=0.05)
    send(provider, email)
    time.sleep(0.06)

    result = send(provider, email)

    assert outcomes(result) == [Outcome.ACCEPTED] * 2
    assert server.connections == 2


def test_a_connection_with_bytes_after_the_answer_is_not_used_again(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    stray = http_answer(200, TWO_ACCEPTED) + http_answer(200, {"BulkEmailEntryResults": [success(8), success(9)]})
    server = script(send_raw(stray), answer(200, TWO_ACCEPTED))
    provider = provider_for(server)

    assert send(provider, email).entries == ACCEPTED
    assert send(provider, email).entries == ACCEPTED
    assert server.connections == 2


def test_an_answer_that_announces_the_close_ends_the_connection(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(answer(200, TWO_ACCEPTED, "Connection: close\r\n"), answer(200, TWO_ACCEPTED))
    provider = provider_for(server)

    send(provider, email)
    send(provider, email)

    assert server.connections == 2


def test_a_refused_connection_is_not_sent_and_unreachable(provider_for: ProviderFor, email: OutgoingEmail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    result = send(provider_for(f"http://127.0.0.1:{port}"), email)

    assert outcomes(result) == [Outcome.RETRY] * 2
    assert result.signal is Signal.UNREACHABLE
    assert result.detail.startswith("unreachable: ")


@pytest.mark.parametrize(
    "failure", [socket.gaierror(socket.EAI_NONAME, "no such name"), UnicodeError("label too long")]
)
def test_a_name_that_does_not_resolve_is_not_sent_and_unreachable(
    provider_for: ProviderFor, email: OutgoingEmail, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    result = send(provider_for("http://ses.invalid"), email)

    assert outcomes(result) == [Outcome.RETRY] * 2
    assert result.signal is Signal.UNREACHABLE
    assert result.detail == f"unreachable: {failure}"


def test_a_failed_tls_handshake_is_not_sent_and_unreachable(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(send_raw(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n"))

    result = send(provider_for(server.url.replace("http:", "https:"), connect_timeout_seconds=0.5), email)

    assert outcomes(result) == [Outcome.RETRY] * 2
    assert result.signal is Signal.UNREACHABLE


def test_a_request_that_breaks_off_while_it_is_written_was_not_handed_over(script: Script) -> None:
    server = script(close_at_once)
    pool = ConnectionPool(
        host="127.0.0.1",
        port=server.port,
        use_tls=False,
        connect_timeout_seconds=2,
        read_timeout_seconds=2,
        max_idle_seconds=4,
    )

    with pytest.raises(NotHandedOverError):
        pool.exchange(b"x" * 50_000_000)


def test_a_call_that_breaks_off_while_it_is_written_is_not_sent(
    provider_for: ProviderFor, email: OutgoingEmail, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    def break_off(*args: object) -> None:
        raise NotHandedOverError("Broken pipe")

    provider = provider_for(script(answer(200, TWO_ACCEPTED)))
    monkeypatch.setattr(ConnectionPool, "exchange", break_off)

    result = send(provider, email)

    assert result.entries == [EntryResult(Outcome.RETRY, "", "unreachable: Broken pipe")] * 2
    assert result.signal is Signal.UNREACHABLE


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (read_then_close, "the connection was closed without a whole answer"),
        (read_then_wait, "timed out"),
        (drip, "timed out"),
        (send_raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "the connection was closed without a whole answer"),
        (
            send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"),
            "the connection ended 89 bytes before the answer",
        ),
        (send_raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "the answer is not HTTP/1.1"),
    ],
)
def test_what_happens_after_the_last_byte_is_ambiguous(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail, step: Step, error: str
) -> None:
    server = script(step)

    result = send(provider_for(server, read_timeout_seconds=0.2), email)

    assert result.entries == [EntryResult(Outcome.AMBIGUOUS, "", f"answer_lost: {error}")] * 2
    assert result.signal is None
    assert result.seconds < 2
    assert len(server.requests) == 1


def test_a_connection_closed_after_the_request_was_handed_over_is_ambiguous(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    # The request fits the socket's buffer, so it counts as handed over although nobody reads it.
    result = send(provider_for(script(close_at_once)), email)

    assert outcomes(result) == [Outcome.AMBIGUOUS] * 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_ambiguous_and_not_tried_again(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail, status: int
) -> None:
    server = script(*[answer(status, {"message": "Try later"}, "x-amzn-ErrorType: ThrottlingException\r\n")] * 2)

    result = send(provider_for(server), email)

    assert result.entries == [EntryResult(Outcome.AMBIGUOUS, "", "server_error: Try later")] * 2
    assert result.signal is None
    assert len(server.requests) == 1


def test_too_many_requests_is_not_sent_and_throttled(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    server = script(
        *[answer(429, {"message": "Maximum sending rate exceeded."}, "x-amzn-ErrorType: TooManyRequestsException\r\n")]
        * 2
    )

    result = send(provider_for(server), email)

    assert result.entries == [EntryResult(Outcome.RETRY, "", "throttled: Maximum sending rate exceeded.")] * 2
    assert result.signal is Signal.THROTTLED
    assert len(server.requests) == 1


def test_a_refusal_without_words_names_the_http_status(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    result = send(provider_for(script(answer(403, None, body=b"<html>Forbidden</html>"))), email)

    assert outcomes(result) == [Outcome.RETRY] * 2
    assert (result.signal, result.detail) == (Signal.MISCONFIGURED, "credentials: HTTP 403")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"BulkEmailEntryResults": [success(1)]}, "malformed_answer: 1 results for 2 entries"),
        ({"BulkEmailEntryResults": [success(1)] * 3}, "malformed_answer: 3 results for 2 entries"),
        ({"BulkEmailEntryResults": None}, "malformed_answer: no results for 2 entries"),
        ([], "malformed_answer: no results for 2 entries"),
    ],
)
def test_an_answer_that_does_not_fit_the_entries_is_ambiguous(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail, document: Any, error: str
) -> None:
    result = send(provider_for(script(answer(200, document))), email)

    assert result.entries == [EntryResult(Outcome.AMBIGUOUS, "", error)] * 2


@pytest.mark.parametrize("body", [b"{}", b"not json", b'{"MessageId": ""}', b'{"MessageId": 7}'])
def test_a_single_answer_without_a_message_id_is_ambiguous(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail, body: bytes
) -> None:
    result = send(provider_for(script(answer(200, None, body=body))), email, count=1)

    assert result.entries == [EntryResult(Outcome.AMBIGUOUS, "", "malformed_answer: an answer without a message id")]


def test_each_entry_of_a_bulk_answer_has_its_own_fate(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail
) -> None:
    rows = [
        success(1),
        {"Status": "MESSAGE_REJECTED", "Error": "Bad content"},
        {"Status": "ACCOUNT_THROTTLED", "Error": "Maximum sending rate exceeded."},
        {"Status": "ACCOUNT_SENDING_PAUSED"},
        {"Status": "SOMETHING_NEW", "Error": "what"},
        {"MessageId": "without-status"},
        {"Status": "SUCCESS"},
        "no object",
    ]

    result = send(provider_for(script(answer(200, {"BulkEmailEntryResults": rows}))), email, count=8)

    broken = EntryResult(Outcome.AMBIGUOUS, "", "malformed_answer: a result without status or message id")
    assert result.entries == [
        EntryResult(Outcome.ACCEPTED, "id-1", ""),
        EntryResult(Outcome.REJECTED, "", "message_rejected: Bad content"),
        EntryResult(Outcome.RETRY, "", "throttled: Maximum sending rate exceeded."),
        EntryResult(Outcome.RETRY, "", "sending_paused"),
        EntryResult(Outcome.AMBIGUOUS, "", "unknown_status: SOMETHING_NEW what"),
        broken,
        broken,
        broken,
    ]
    assert (result.signal, result.detail) == (Signal.ACCOUNT_PAUSED, "sending_paused")


def test_after_a_fork_the_parents_connections_are_left_alone(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = script(answer(200, TWO_ACCEPTED), answer(200, TWO_ACCEPTED))
    provider = provider_for(server)
    send(provider, email)
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)

    result = send(provider, email)

    assert outcomes(result) == [Outcome.ACCEPTED] * 2
    assert server.connections == 2


def test_connections_that_a_burst_opened_are_closed_when_they_grow_old(script: Script) -> None:
    server = script(*[answer(200, {})] * 3)
    pool = ConnectionPool(
        host="127.0.0.1",
        port=server.port,
        use_tls=False,
        connect_timeout_seconds=2,
        read_timeout_seconds=2,
        max_idle_seconds=0.05,
    )
    old = pool._open()
    pool._give_back(old)
    time.sleep(0.06)

    fresh = pool._open()
    pool._give_back(fresh)

    assert old.socket.fileno() == -1
    assert fresh.socket.fileno() != -1
    pool.close()
    assert fresh.socket.fileno() == -1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


def tls_server(script: Script, certificate: Path) -> ScriptedServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return script(*[answer(200, TWO_ACCEPTED)] * 3, tls=context)


def test_a_certificate_that_nobody_vouches_for_is_not_sent_to(
    script: Script, provider_for: ProviderFor, email: OutgoingEmail, certificate: Path
) -> None:
    server = tls_server(script, certificate)

    result = send(provider_for(server), email)

    assert outcomes(result) == [Outcome.RETRY] * 2
    assert result.signal is Signal.UNREACHABLE
    assert "CERTIFICATE_VERIFY_FAILED" in result.detail
    assert server.requests == []


def test_calls_over_tls_share_a_connection(
    script: Script,
    provider_for: ProviderFor,
    email: OutgoingEmail,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    first = tls_server(script, certificate)
    provider = provider_for(first)

    results = [send(provider, email) for _ in range(2)]
    provider.close()
    results.append(send(provider, email))

    assert [result.entries for result in results] == [ACCEPTED] * 3
    assert first.connections == 2
