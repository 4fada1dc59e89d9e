"""Our signature against botocore's, byte for byte."""

from __future__ import annotations

import datetime
from hashlib import sha256

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from delivery.providers.ses.endpoint import parse_endpoint
from delivery.providers.ses.signing import RequestSigner, SigningKeys

NOW = datetime.datetime(2026, 11, 25, 23, 59, 58, tzinfo=datetime.UTC)
BODY = '{"a":"Zoë"}'.encode()


def botocore_headers(method: str, url: str, keys: SigningKeys, region: str) -> dict[str, str]:
    request = AWSRequest(
        method=method,
        url=url,
        data=BODY if method == "POST" else b"",
        headers={"Content-Type": "application/json"} if method == "POST" else {},
    )
    SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token or None), "ses", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def own_headers(method: str, url: str, keys: SigningKeys, signer: RequestSigner) -> dict[str, str]:
    path = "/" + url.split("/", 3)[3]
    body = BODY if method == "POST" else b""
    lines = signer.headers(
        method, path, sha256(body).hexdigest(), keys, content_type="application/json" if method == "POST" else ""
    )
    headers = dict(line.split(": ", 1) for line in lines.removesuffix("\r\n").split("\r\n"))
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("token", ["", "AQoDYXdzEPT//////////wEXAMPLE+token=="])
@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1"])
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "https://email.eu-central-1.amazonaws.com/v2/email/outbound-bulk-emails"),
        ("POST", "http://127.0.0.1:8025/v2/email/outbound-emails"),
        ("POST", "http://localhost:80/some/prefix/v2/email/outbound-emails"),
        ("POST", "https://[::1]:8443/v2/email/outbound-emails"),
        ("GET", "https://email.eu-central-1.amazonaws.com/v2/email/account"),
        ("GET", "https://email.eu-central-1.amazonaws.com/v2/email/identities/o%27neil%2Bx%40acme.test"),
    ],
)
def test_each_signed_header_is_botocores(method: str, url: str, region: str, token: str) -> None:
    keys = SigningKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    signer = RequestSigner(region=region, host=parse_endpoint(url).host_header)

    with time_machine.travel(NOW, tick=False):
        expected = botocore_headers(method, url, keys, region)
        headers = own_headers(method, url, keys, signer)

    expected.pop("content-type", None)
    assert headers == expected
    assert headers["x-amz-date"] == "20261125T235958Z"
    assert ("x-amz-security-token" in headers) is bool(token)


def test_the_cached_key_follows_the_day_and_the_secret() -> None:
    url = "https://email.eu-central-1.amazonaws.com/v2/email/account"
    signer = RequestSigner(region="eu-central-1", host="email.eu-central-1.amazonaws.com")
    first, second = SigningKeys("A", "one", ""), SigningKeys("B", "two", "")

    for moment in (NOW, NOW + datetime.timedelta(seconds=3)):
        for keys in (first, second, second, first):
            with time_machine.travel(moment, tick=False):
                expected = botocore_headers("GET", url, keys, "eu-central-1")
                assert own_headers("GET", url, keys, signer) == expected


def test_a_moment_can_be_given() -> None:
    signer = RequestSigner(region="eu-central-1", host="email.eu-central-1.amazonaws.com")

    lines = signer.headers("GET", "/v2/email/account", "0" * 64, SigningKeys("A", "b", ""), at=0)

    assert lines.startswith("X-Amz-Date: 19700101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=A/19700101/")


@pytest.mark.parametrize("token", ["", "AQoDYXdzEPT//////////wEXAMPLE+token=="])
def test_a_json_protocols_operation_is_signed_as_botocore_signs_it(token: str) -> None:
    keys = SigningKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    kind, target = "application/x-amz-json-1.0", "AmazonSQS.ReceiveMessage"
    request = AWSRequest(
        method="POST",
        url="https://sqs.eu-central-1.amazonaws.com/",
        data=BODY,
        headers={"Content-Type": kind, "X-Amz-Target": target},
    )

    with time_machine.travel(NOW, tick=False):
        SigV4Auth(Credentials(keys.access_key, keys.secret_key, token or None), "sqs", "eu-central-1").add_auth(request)
        lines = RequestSigner(region="eu-central-1", host="sqs.eu-central-1.amazonaws.com", service="sqs").headers(
            "POST", "/", sha256(BODY).hexdigest(), keys, content_type=kind, target=target
        )

    assert f"Authorization: {request.headers['Authorization']}\r\n" in lines
    assert f"X-Amz-Target: {target}\r\n" in lines
