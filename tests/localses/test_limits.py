from __future__ import annotations

import pytest

from localses import limits
from localses.config import Settings
from localses.errors import ServiceError
from localses.limits import RateBucket
from tests.localses.conftest import Clock, Door, entry


def test_a_call_passes_while_anything_is_left_and_the_debt_is_repaid_first(clock: Clock) -> None:
    bucket = RateBucket(Settings(max_send_rate=10), clock)

    bucket.take(9)
    bucket.take(50)
    clock.now += 4.8
    with pytest.raises(ServiceError, match="Maximum sending rate exceeded") as caught:
        bucket.take(1)
    clock.now += 0.2
    bucket.take(1)

    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)


def test_allowance_is_saved_up_for_one_second_only(clock: Clock) -> None:
    bucket = RateBucket(Settings(max_send_rate=10), clock)
    clock.now += 3600

    bucket.take(10)

    with pytest.raises(ServiceError):
        bucket.take(1)


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.com",
        "Ana <ana+news@example.com>",
        '"odd local"@example.com',
        "a@xn--mnchen-3ya.example",
        "a@localhost",
    ],
)
def test_addresses_that_ses_takes(address: str) -> None:
    assert limits.address_problem(address) is None


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("", "Missing final '@domain'"),
        ("ana", "Missing final '@domain'"),
        ("@example.com", "Missing local name"),
        ("ana maria@example.com", "Local address contains control or whitespace"),
        (".ana@example.com", "Local address contains a dot in the wrong place"),
        ("a..na@example.com", "Local address contains a dot in the wrong place"),
        ("ana@exa mple.com", "Domain contains illegal character"),
        ("ana@-example.com", "Domain contains illegal character"),
        ("ana@example..com", "Domain contains illegal character"),
        ("Ana <ana@example.com>\r\nBcc: x@example.com", "Address contains a line break"),
    ],
)
def test_addresses_that_ses_refuses(address: str, problem: str) -> None:
    assert limits.address_problem(address) == problem


@pytest.mark.parametrize("address", ["ána@example.com", "ana@münchen.example", "Ána <ana@example.com>"])
def test_addresses_must_be_ascii(address: str) -> None:
    assert "US-ASCII" in str(limits.address_problem(address))


def test_a_local_part_has_64_characters_at_most() -> None:
    assert limits.address_problem("a" * 64 + "@example.com") is None
    assert limits.address_problem("a" * 65 + "@example.com") == "Local address contains control or whitespace"


def bulk_error(door: Door, **members: list[dict[str, str]]) -> str:
    status, answer = door.bulk([{**entry("ana@example.org"), **members}])
    assert status == 400, answer
    assert answer["__type"] == "BadRequestException"
    assert door.rows("SELECT count(*) FROM message") == [(0,)]
    return str(answer["message"])


@pytest.mark.parametrize("value", ["", "has space", "dot.dot", "ünïcode", "x" * 257, "a@b"])
def test_tags_have_letters_digits_underscores_and_dashes_only(door: Door, value: str) -> None:
    assert "Invalid tag" in bulk_error(door, ReplacementTags=[{"Name": "m", "Value": value}])


def test_a_message_has_fifty_tags_at_most(door: Door) -> None:
    tags = [{"Name": f"t{number}", "Value": "x"} for number in range(51)]

    assert bulk_error(door, ReplacementTags=tags) == "A message may have 50 tags."


def header(name: str, value: str = "x") -> list[dict[str, str]]:
    return [{"Name": name, "Value": value}]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (header("X y"), "regular expression"),
        (header("X:y"), "regular expression"),
        (header("x" * 127), "less than or equal to 126"),
        (header("X", "é"), "regular expression"),
        (header("X", "a\nb"), "regular expression"),
        (header("X", ""), "greater than or equal to 1"),
        (header("X", "x" * 996), "less than or equal to 995"),
        (header("X-Long", "x" * 991), "longer than 996"),
        (header("X") * 2, "Duplicate header 'X'"),
        (header("Subject"), "has a parameter of its own"),
        ([{"Name": f"X-{n}", "Value": "x"} for n in range(16)], "length between 0 and 15"),
    ],
)
def test_headers_outside_of_the_limits_are_refused(door: Door, headers: list[dict[str, str]], message: str) -> None:
    assert message in bulk_error(door, ReplacementHeaders=headers)


def test_fifteen_headers_of_full_length_are_accepted(door: Door) -> None:
    headers = [{"Name": f"X-{number:02}", "Value": "x" * 992} for number in range(15)]

    status, answer = door.bulk([entry("ana@example.org", ReplacementHeaders=headers)])

    assert (status, answer["BulkEmailEntryResults"][0]["Status"]) == (200, "SUCCESS")
