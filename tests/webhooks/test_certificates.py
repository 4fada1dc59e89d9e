from __future__ import annotations

import http.client
import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.webhooks.signer import Signer
from webhooks.inbound.certificates import (
    CACHE_SECONDS,
    CACHE_SIZE,
    FETCHES_PER_MINUTE,
    Certificates,
    CertificateUnavailableError,
    PinnedCertificate,
    fetch_certificate,
)
from webhooks.inbound.sns import CertificateAddress

signer = Signer()


class Source:
    """Stands for SNS's host and the clock."""

    def __init__(self, pem: bytes = signer.certificate_pem) -> None:
        self.pem = pem
        self.asked: list[str] = []
        self.is_down = False
        self.now = 1000.0

    def fetch(self, address: CertificateAddress) -> bytes:
        self.asked.append(address.path)
        if self.is_down:
            raise CertificateUnavailableError("down")
        return self.pem

    def certificates(self) -> Certificates:
        return Certificates(self.fetch, lambda: self.now)


def address(name: str = "aa") -> CertificateAddress:
    return CertificateAddress("sns.eu-west-1.amazonaws.com", f"/SimpleNotificationService-{name}.pem")


def test_a_certificate_is_fetched_once_until_it_is_old() -> None:
    source = Source()
    certificates = source.certificates()

    certificates.key(address())
    certificates.key(address())
    assert len(source.asked) == 1

    source.now += CACHE_SECONDS + 1
    certificates.key(address())
    assert len(source.asked) == 2


def test_a_failed_fetch_is_not_remembered() -> None:
    source = Source()
    source.is_down = True
    certificates = source.certificates()
    with pytest.raises(CertificateUnavailableError):
        certificates.key(address())

    source.is_down = False

    assert certificates.key(address()).public_numbers() == signer.key.public_key().public_numbers()


def test_the_cache_and_the_fetches_are_bounded() -> None:
    source = Source()
    certificates = source.certificates()
    for number in range(FETCHES_PER_MINUTE):
        certificates.key(address(f"{number:08x}"))
    with pytest.raises(CertificateUnavailableError, match="too many"):
        certificates.key(address("ffffffff"))
    assert certificates.key(address("00000000")) is not None  # what is known needs no fetch

    for number in range(CACHE_SIZE + 8):
        source.now += 60
        certificates.key(address(f"{number:08x}"))

    assert len(certificates._keys) == CACHE_SIZE


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"not a certificate", "not a certificate"),
        (Signer(name="sns.evil.example").certificate_pem, "not SNS's"),
        (Signer(starts=timedelta(days=-9), ends=timedelta(days=-1)).certificate_pem, "not valid now"),
        (Signer(starts=timedelta(days=1)).certificate_pem, "not valid now"),
    ],
)
def test_a_certificate_that_is_not_valid_or_not_of_sns_is_refused(pem: bytes, reason: str) -> None:
    with pytest.raises(CertificateUnavailableError, match=reason):
        Source(pem).certificates().key(address())


def test_a_pinned_certificate_is_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    pinned = PinnedCertificate()
    with pytest.raises(CertificateUnavailableError):
        pinned.key(path)
    path.write_bytes(signer.certificate_pem)
    assert pinned.key(path).public_numbers() == signer.key.public_key().public_numbers()

    other = Signer()
    path.write_bytes(other.certificate_pem)
    os.utime(path, (1, 1))

    assert pinned.key(path).public_numbers() == other.key.public_key().public_numbers()


def test_a_host_that_does_not_speak_tls_is_unavailable() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        host = f"127.0.0.1:{server.getsockname()[1]}"

        with pytest.raises(CertificateUnavailableError):
            fetch_certificate(CertificateAddress(host, "/x.pem"))
        thread.join()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path.endswith(".pem") else 302)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(signer.certificate_pem)

    def log_message(self, *args: object) -> None:
        pass


def test_a_certificate_is_fetched_and_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        http.client, "HTTPSConnection", lambda host, timeout, context: http.client.HTTPConnection(host, timeout=timeout)
    )
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        host = f"127.0.0.1:{server.server_port}"
        try:
            assert fetch_certificate(CertificateAddress(host, "/x.pem")) == signer.certificate_pem
            with pytest.raises(CertificateUnavailableError, match="status 302"):
                fetch_certificate(CertificateAddress(host, "/elsewhere"))
        finally:
            server.shutdown()


def test_a_key_that_is_not_rsa_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    pem = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("sns.eu-west-1.amazonaws.com")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )

    with pytest.raises(CertificateUnavailableError, match="not an RSA key"):
        Source(pem).certificates().key(address())
