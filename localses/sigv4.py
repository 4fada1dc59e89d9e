"""Verifies AWS Signature Version 4, as the services at the other end of botocore do."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

from botocore.utils import normalize_url_path

from localses.errors import ServiceError

MAXIMUM_AGE = timedelta(minutes=15)  # AWS refuses signatures older than this, and younger than minus this
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_SPACES = re.compile(r" +")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of an HTTP request that a signature covers; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def verify(request: SignedRequest, *, access_key: str, secret_key: str, service: str, now: datetime) -> str:
    """Verify the signature and return the region it was made for.

    Raises ServiceError (403) when it is missing, of another key or service, too old, or wrong.
    """
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    stamp = request.headers.get("x-amz-date", "")
    if match is None or "host" not in match["headers"].split(";"):
        raise ServiceError("IncompleteSignatureException", "Authorization header is incomplete.", status=403)
    if match["key"] != access_key:
        raise ServiceError(
            "UnrecognizedClientException", "The security token included in the request is invalid.", status=403
        )
    _check_age(stamp, match["date"], now)
    if match["service"] != service:
        raise ServiceError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'.", status=403
        )
    scope = f"{match['date']}/{match['region']}/{service}/aws4_request"
    digest = hashlib.sha256(_canonical(request, match["headers"]).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = _signing_key(secret_key, match["date"], match["region"], service)
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, match["signature"]):
        raise ServiceError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
            status=403,
        )
    return match["region"]


def _check_age(stamp: str, date: str, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ServiceError("IncompleteSignatureException", "X-Amz-Date is missing or malformed.", status=403) from None
    limit = f"{now:%Y%m%dT%H%M%SZ}"
    if now - signed_at > MAXIMUM_AGE:
        message = (
            f"Signature expired: {stamp} is now earlier than {now - MAXIMUM_AGE:%Y%m%dT%H%M%SZ} ({limit} - 15 min.)"
        )
        raise ServiceError("InvalidSignatureException", message, status=403)
    if signed_at - now > MAXIMUM_AGE:
        message = f"Signature not yet current: {stamp} is still later than {limit} + 15 min."
        raise ServiceError("InvalidSignatureException", message, status=403)
    if not stamp.startswith(date):
        message = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
        raise ServiceError("InvalidSignatureException", message, status=403)


def _canonical(request: SignedRequest, signed_headers: str) -> str:
    # The path arrives percent-encoded once and is encoded again, which every service but S3 expects.
    path = quote(normalize_url_path(request.path), safe="/~")
    pairs = sorted(tuple(part.partition("=")[::2]) for part in request.query.split("&") if part)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = [f"{name}:{_SPACES.sub(' ', request.headers.get(name, '').strip())}" for name in signed_headers.split(";")]
    payload = hashlib.sha256(request.body).hexdigest()
    return "\n".join([request.method, path, query, *lines, "", signed_headers, payload])


@lru_cache(maxsize=64)
def _signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
