import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from amazonsender.core.throttle import client_address, throttled, truncated_address


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody is trusted: the header is the client's own
        (1, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # what the client wrote stands first
        (2, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "10.0.0.1", "198.51.100.1", "10.0.0.1"),  # it came past a proxy
        (1, "10.0.0.1", "not an address", "10.0.0.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        (1, "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        (1, "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "10.0.0.1", "fe80::1%eth0", "fe80::1"),
        (0, "::ffff:203.0.113.9", "", "203.0.113.9"),
        (0, "", "", "None"),
    ],
)
def test_the_client_is_whom_the_trusted_proxies_vouch_for(
    rf: RequestFactory, settings: Settings, proxies: int, remote: str, forwarded: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = rf.get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)

    assert str(client_address(request)) == expected


@pytest.mark.parametrize(
    ("remote", "kept"), [("203.0.113.9", "203.0.113.0"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"), ("", "")]
)
def test_a_stored_address_names_a_network_not_a_person(rf: RequestFactory, remote: str, kept: str) -> None:
    assert truncated_address(rf.get("/", REMOTE_ADDR=remote)) == kept


@throttled("test", rate="2/h")
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("in")


def ask(rf: RequestFactory, address: str) -> int:
    return page(rf.get("/", REMOTE_ADDR=address)).status_code


def test_each_client_has_its_own_count(rf: RequestFactory) -> None:
    assert [ask(rf, "203.0.113.9") for _ in range(3)] == [200, 200, 429]
    assert ask(rf, "203.0.113.10") == 200


def test_one_line_cannot_hop_through_its_ipv6_network(rf: RequestFactory) -> None:
    assert [ask(rf, f"2001:db8:1:2::{i}") for i in range(1, 4)] == [200, 200, 429]
    assert ask(rf, "2001:db8:1:3::1") == 200


def test_a_refusal_says_when_to_come_back(rf: RequestFactory) -> None:
    for _ in range(2):
        ask(rf, "203.0.113.9")

    response = page(rf.get("/", REMOTE_ADDR="203.0.113.9"))

    assert 1 <= int(response["Retry-After"]) <= 3600
    assert response["Content-Type"] == "text/plain"


def test_a_broken_cache_lets_readers_through(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(type(cache._connections["default"]), "add", broken)  # type: ignore[attr-defined]

    assert [ask(rf, "203.0.113.9") for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("remote", "header", "written", "expected"),
    [
        ("10.0.0.1", "x-forwarded-for", "198.51.100.1", "198.51.100.1"),
        ("203.0.113.9", "x-forwarded-for", "198.51.100.1", "203.0.113.9"),  # came past the proxies
        ("10.0.0.1", "forwarded", "for=198.51.100.1;proto=https", "198.51.100.1"),
        ("10.0.0.1", "forwarded", 'for=6.6.6.6, For="[2001:db8::1]:4711";by=10.0.0.1', "2001:db8::1"),
        ("10.0.0.1", "forwarded", "for=_hidden", "10.0.0.1"),
        ("10.0.0.1", "forwarded", "", "10.0.0.1"),
        ("", "forwarded", "for=198.51.100.1", "None"),
    ],
)
def test_only_proxies_of_ours_are_believed_and_only_in_their_header(
    rf: RequestFactory, settings: Settings, remote: str, header: str, written: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES, settings.TRUSTED_PROXY_NETWORKS, settings.PROXY_HEADER = 1, ["10.0.0.0/8"], header
    given = {"x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6", header: written}  # the other one is the client's

    assert str(client_address(rf.get("/", headers=given, REMOTE_ADDR=remote))) == expected
