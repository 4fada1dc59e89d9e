import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.addresses import MAX_ADDRESS, Address, InvalidAddress, canonical, find_key, readable


@pytest.mark.parametrize(
    "written",
    ["a@example.com\u00a0", " a@example.com ", "a@example.com\u200b", "\ufeffa@example.com", "a\u200b@example.com\t"],
)
def test_spaces_that_nobody_sees_are_trimmed(written: str) -> None:
    assert canonical(written) == Address("a@example.com", "a@example.com", "a@example.com", "example.com")


def test_the_wire_keeps_the_local_part_as_written_and_the_key_does_not() -> None:
    address = canonical("Ana.B@Example.COM")

    assert (address.written, address.key, address.wire) == (
        "Ana.B@Example.COM",
        "ana.b@example.com",
        "Ana.B@example.com",
    )
    assert canonical("Ana.B@Example.COM") == address  # now by the fast path


@pytest.mark.parametrize(
    "written", ["x@bücher.example", "x@xn--bcher-kva.example", "x@bu\u0308cher.example", "X@BÜCHER.example"]
)
def test_every_spelling_of_a_domain_has_one_key_and_goes_out_in_punycode(written: str) -> None:
    address = canonical(written)

    assert address.key == "x@xn--bcher-kva.example"
    assert address.wire.isascii()


@pytest.mark.parametrize(
    "written", ["o'brien@example.com", "a+news@example.com", "a!b#c@example.co.uk", "x" * 64 + "@a.io"]
)
def test_odd_but_valid_addresses_are_taken_as_they_are(written: str) -> None:
    assert canonical(written).key == written


def test_a_tag_after_a_plus_is_another_address() -> None:
    assert canonical("a+news@example.com").key != canonical("a@example.com").key


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("", "empty"),
        (" \u200b", "empty"),
        ("maria", "no_at"),
        ("@example.com", "local_empty"),
        ("jesús@example.com", "local_non_ascii"),
        ("x" * 65 + "@example.com", "local_too_long"),
        ("a..b@example.com", "local_dots"),
        ("a.@example.com", "local_dots"),
        (".a@example.com", "local_dots"),
        ('"a b"@example.com', "local_quoted"),
        ("a b@example.com", "local_invalid"),
        ("a\nBcc: x@example.com", "local_invalid"),
        ("a@", "domain_empty"),
        ("a@localhost", "domain_no_dot"),
        ("a@[127.0.0.1]", "domain_literal"),
        ("a@127.0.0.1", "domain_literal"),
        ("a@example.com.", "domain_dots"),
        ("a@example..com", "domain_dots"),
        ("a@-example.com", "domain_invalid"),
        ("a@exa_mple.com", "domain_invalid"),
        ("a@xn--a.example", "domain_invalid"),
        ("a@example.com>", "domain_invalid"),
        ("a@" + "x" * 64 + ".com", "domain_invalid"),
        ("a" * 60 + "@" + ".".join(["x" * 60] * 4) + ".com", "too_long"),
        ("a@example.com ::: b@example.com", "several"),
        ("a@example.com, b@example.com", "several"),
        ('"><svg/onload=1>@example.com', "local_quoted"),
    ],
)
def test_what_ses_could_not_deliver_is_refused_with_its_reason(written: str, code: str) -> None:
    for _twice in range(2):  # also when the domain is known already
        with pytest.raises(InvalidAddress) as caught:
            canonical(written)
        assert caught.value.code == code
        assert str(caught.value)


@pytest.mark.parametrize(
    "reported", ["Ana <ANA@Example.com>", "<ana@example.com>", "ana@example.com", " Ana@example.com"]
)
def test_an_address_is_found_however_a_mail_system_reports_it(reported: str) -> None:
    assert find_key(reported) == "ana@example.com"


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("ana@xn--bcher-kva.example", "ana@bücher.example"),
        ("ana@example.com", "ana@example.com"),
        ("ana@xn--.example", "ana@xn--.example"),
    ],
)
def test_a_domain_is_shown_in_its_own_letters(key: str, written: str) -> None:
    assert readable(key) == written


def test_what_is_no_address_finds_nothing() -> None:
    assert find_key("undisclosed recipients") == ""


@given(st.text(max_size=80))
def test_canonical_is_total_and_stable(text: str) -> None:
    for written in (text, f"{text}@example.com", f"a@{text}.com"):
        try:
            address = canonical(written)
        except InvalidAddress:
            continue
        assert address.key == address.wire.lower()
        assert len(address.wire) <= MAX_ADDRESS
        assert address.wire.isascii()
        assert canonical(address.written) == address
        assert canonical(address.wire).key == address.key
