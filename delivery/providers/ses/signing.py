"""AWS Signature Version 4 for a handful of fixed paths: botocore's result, byte for byte, at a third of its cost.

botocore's signer builds a request object, sorts and joins headers and derives the day's key for each signature. Here
everything that stays the same between calls is prepared once. The tests compare each header with botocore's.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_PAYLOAD = sha256(b"").hexdigest()


class SigningKeys(NamedTuple):
    """What a signature needs of a set of credentials at one moment."""

    access_key: str
    secret_key: str
    token: str


class RequestSigner:
    """Signs requests to one host. Safe to share between threads: what it caches is replaced whole."""

    def __init__(self, *, region: str, host: str, service: str = "ses") -> None:
        """Take the host as the Host header carries it, with a port other than the scheme's own."""
        self._scope_end = f"{region}/{service}/aws4_request"
        self._region = region
        self._service = service
        self._host = host
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def headers(
        self,
        method: str,
        path: str,
        payload_hash: str,
        keys: SigningKeys,
        *,
        content_type: str = "",
        target: str = "",
        at: float | None = None,
    ) -> str:
        """Header lines of a signed request: date, token if any, and authorization, each with its line end.

        path: as it goes on the wire, percent-encoded, without a query. target: the operation, in JSON protocols.
        at: seconds since the epoch, now if None.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        day = stamp[:8]
        canonical, signed = [f"host:{self._host}\nx-amz-date:{stamp}\n"], "host;x-amz-date"
        lines = f"X-Amz-Date: {stamp}\r\n"
        if content_type:
            canonical.insert(0, f"content-type:{content_type}\n")
            signed = f"content-type;{signed}"
        if keys.token:
            canonical.append(f"x-amz-security-token:{keys.token}\n")
            signed = f"{signed};x-amz-security-token"
            lines = f"{lines}X-Amz-Security-Token: {keys.token}\r\n"
        if target:
            canonical.append(f"x-amz-target:{target}\n")
            signed = f"{signed};x-amz-target"
            lines = f"{lines}X-Amz-Target: {target}\r\n"
        # Services other than S3 sign the path encoded once more than it travels.
        request = f"{method}\n{quote(path, safe='/~')}\n\n{''.join(canonical)}\n{signed}\n{payload_hash}"
        scope = f"{day}/{self._scope_end}"
        to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        key = self._day_key(keys.secret_key, day)
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return (
            f"{lines}Authorization: {ALGORITHM} Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}\r\n"
        )

    def _day_key(self, secret: str, day: str) -> bytes:
        cached_secret, cached_day, key = self._key
        if cached_day == day and cached_secret == secret:
            return key
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = (secret, day, key)
        return key
