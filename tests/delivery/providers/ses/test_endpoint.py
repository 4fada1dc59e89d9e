"""Addresses of the service."""

from __future__ import annotations

import pytest

from delivery.providers.base import PermanentError
from delivery.providers.ses.endpoint import Endpoint, parse_endpoint, ses_url


def test_the_region_decides_the_address() -> None:
    assert ses_url("eu-central-1") == "https://email.eu-central-1.amazonaws.com"
    assert ses_url("us-gov-west-1") == "https://email.us-gov-west-1.amazonaws.com"
    assert ses_url("cn-north-1") == "https://email.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (
            "https://email.eu-central-1.amazonaws.com",
            Endpoint(
                use_tls=True,
                host="email.eu-central-1.amazonaws.com",
                port=443,
                host_header="email.eu-central-1.amazonaws.com",
                path="",
            ),
        ),
        (
            "http://localhost:8025/",
            Endpoint(use_tls=False, host="localhost", port=8025, host_header="localhost:8025", path=""),
        ),
        (
            "http://localhost:80/ses/",
            Endpoint(use_tls=False, host="localhost", port=80, host_header="localhost", path="/ses"),
        ),
        ("https://LOCALHOST:443", Endpoint(use_tls=True, host="localhost", port=443, host_header="localhost", path="")),
        ("http://[::1]:8025", Endpoint(use_tls=False, host="::1", port=8025, host_header="[::1]:8025", path="")),
    ],
)
def test_an_address_is_taken_apart(url: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8025",
        "ftp://localhost",
        "http://",
        "http://localhost:99999",
        "http://user@localhost",
        "http://localhost?x=1",
        "http://localhost/#x",
        "http://localhost/a b",
        "http://bücher.example",
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(PermanentError, match="address"):
        parse_endpoint(url)
