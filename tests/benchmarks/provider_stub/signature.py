"""Checking AWS Signature Version 4, written apart from the product's signer."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from urllib.parse import quote

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)/ses/aws4_request), "
    r"SignedHeaders=(?P<signed>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)
REQUIRED = frozenset({"host", "x-amz-date"})


class SignatureChecker:
    """Knows one pair of keys."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._scope = ""
        self._key = b""

    def is_genuine(self, method: str, path: str, headers: dict[str, str], payload_hash: str) -> bool:
        """Whether the Authorization header signs exactly this request. Header names are in lower case."""
        match = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None or match["key"] != self._access_key:
            return False
        names = match["signed"].split(";")
        if not REQUIRED.issubset(names) or any(name not in headers for name in names):
            return False
        canonical = "".join([f"{name}:{headers[name]}\n" for name in names])
        request = f"{method}\n{quote(path, safe='/~')}\n\n{canonical}\n{match['signed']}\n{payload_hash}"
        to_sign = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{match['scope']}\n{sha256(request.encode()).hexdigest()}"
        expected = hmac.digest(self._signing_key(match["scope"]), to_sign.encode(), "sha256").hex()
        return expected == match["signature"]

    def _signing_key(self, scope: str) -> bytes:
        if scope != self._scope:
            key = f"AWS4{self._secret_key}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._scope, self._key = scope, key
        return self._key
