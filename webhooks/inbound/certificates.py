"""SNS's signing certificates: fetched once, checked, kept in a small cache; and Local SES's own, pinned by a file."""

from __future__ import annotations

import http.client
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from webhooks.inbound.sns import CertificateAddress

CACHE_SIZE = 32
CACHE_SECONDS = 24 * 3600.0
MAX_BYTES = 64 * 1024
TIMEOUT_SECONDS = 5.0
# A forger may name any certificate of a true host: bounds what such requests make us fetch.
FETCHES_PER_MINUTE = 10


class CertificateUnavailableError(Exception):
    """No certificate right now. Ours or the network's trouble: the sender is to try again; nothing is remembered."""


def fetch_certificate(address: CertificateAddress) -> bytes:
    """Fetch by HTTPS, without redirects. Raises CertificateUnavailableError."""
    connection = http.client.HTTPSConnection(
        address.host, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
    )
    try:
        connection.request("GET", address.path, headers={"User-Agent": "AmazonSender"})
        response = connection.getresponse()
        if response.status != 200:
            raise CertificateUnavailableError(f"status {response.status}")
        return response.read(MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise CertificateUnavailableError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def read_certificate(pem: bytes, *, host: str, now: datetime) -> RSAPublicKey:
    """The key of a valid certificate issued to SNS. Raises CertificateUnavailableError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CertificateUnavailableError("not a certificate") from error
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise CertificateUnavailableError("the certificate is not valid now")
    if not _names(certificate) & {"sns.amazonaws.com", "sns.amazonaws.com.cn", host}:
        raise CertificateUnavailableError("the certificate is not SNS's")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise CertificateUnavailableError("not an RSA key")
    return key


def _names(certificate: x509.Certificate) -> set[str]:
    names = {str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    return names | set(alternatives.get_values_for_type(x509.DNSName))


class Certificates:
    """Keys by address: a bounded cache of those that were fetched and found good; failures are never kept."""

    def __init__(
        self,
        fetch: Callable[[CertificateAddress], bytes] = fetch_certificate,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: OrderedDict[CertificateAddress, tuple[float, RSAPublicKey]] = OrderedDict()
        self._fetched: list[float] = []
        self._lock = Lock()

    def key(self, address: CertificateAddress) -> RSAPublicKey:
        """The public key behind an address that passed the rule. Raises CertificateUnavailableError."""
        now = self._clock()
        with self._lock:
            known = self._keys.get(address)
            if known is not None and now - known[0] < CACHE_SECONDS:
                return known[1]
            self._fetched = [at for at in self._fetched if now - at < 60]
            if len(self._fetched) >= FETCHES_PER_MINUTE:
                raise CertificateUnavailableError("too many certificates asked for")
            self._fetched.append(now)
        key = read_certificate(self._fetch(address), host=address.host, now=datetime.now(UTC))
        with self._lock:
            self._keys[address] = (now, key)
            self._keys.move_to_end(address)
            while len(self._keys) > CACHE_SIZE:
                self._keys.popitem(last=False)
        return key


class PinnedCertificate:
    """The certificate in a file, read again when the file changes."""

    def __init__(self) -> None:
        self._known: tuple[Path, float, RSAPublicKey] | None = None

    def key(self, path: Path) -> RSAPublicKey:
        """Raises CertificateUnavailableError."""
        try:
            changed_at = path.stat().st_mtime
            if self._known is None or self._known[:2] != (path, changed_at):
                key = read_certificate(path.read_bytes(), host="", now=datetime.now(UTC))
                self._known = (path, changed_at, key)
        except OSError as error:
            raise CertificateUnavailableError(f"pinned certificate: {type(error).__name__}") from error
        return self._known[2]
