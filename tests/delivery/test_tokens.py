from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from delivery.tokens import (
    ManageToken,
    TrackToken,
    is_remainder_signed,
    manage_token,
    read_manage_token,
    read_track_token,
    sign_remainder,
    token_keys,
    track_token,
)

NEW, OLD, FOREIGN = "2:" + "ab" * 32, "1:" + "cd" * 32, "2:" + "ef" * 32


@pytest.fixture(autouse=True)
def use_keys(settings: Settings) -> Iterator[Callable[..., None]]:
    def use(*keys: str) -> None:
        settings.TOKEN_KEYS = list(keys)
        token_keys.cache_clear()

    use(NEW, OLD)
    yield use
    token_keys.cache_clear()


def test_a_track_token_names_its_message() -> None:
    token = track_token(83_000_001, 2**31 - 1)

    assert re.fullmatch(r"[A-Za-z0-9_-]{28}", token)
    assert read_track_token(token) == TrackToken(83_000_001, 2**31 - 1)


def test_a_manage_token_names_a_subscriber_and_a_list() -> None:
    token = manage_token(2**62, 7)

    assert re.fullmatch(r"[A-Za-z0-9_-]{36}", token)
    assert read_manage_token(token) == ManageToken(2**62, 7)


def test_every_changed_byte_of_a_token_makes_it_worthless() -> None:
    track, manage = track_token(83_000_001, 5), manage_token(9, 7)
    for token, read in ((track, read_track_token), (manage, read_manage_token)):
        raw = urlsafe_b64decode(token)
        for place in range(len(raw)):
            forged = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
            assert read(urlsafe_b64encode(forged).decode()) is None, place


@pytest.mark.parametrize(
    "token",
    ["", "A", "AAAA", "not base64!", "ключ", "A" * 27, "A" * 28, "A" * 32, "A" * 36, "=" * 28, "\0" * 28],
)
def test_what_never_was_a_token_names_nothing(token: str) -> None:
    assert read_track_token(token) is None
    assert read_manage_token(token) is None


def test_a_truncated_or_lengthened_token_names_nothing() -> None:
    track, manage = track_token(83_000_001, 5), manage_token(9, 7)

    assert [read_track_token(track[:length]) for length in range(28)] == [None] * 28
    assert read_track_token(track + "AAAA") is None
    assert [read_manage_token(manage[:length]) for length in range(36)] == [None] * 36
    assert read_manage_token(manage + "AAAA") is None


def test_a_token_of_one_purpose_is_worth_nothing_for_the_other() -> None:
    raw_track, raw_manage = urlsafe_b64decode(track_token(1, 2)), urlsafe_b64decode(manage_token(1, 2))

    assert read_manage_token(track_token(1, 2)) is None
    assert read_track_token(manage_token(1, 2)) is None
    # neither cut nor stretched to the other's length
    assert read_track_token(urlsafe_b64encode(raw_manage[:21]).decode()) is None
    assert read_manage_token(urlsafe_b64encode(raw_track + bytes(6)).decode()) is None


def test_tokens_of_an_old_key_stay_valid_until_the_key_is_taken_away(use_keys: Callable[..., None]) -> None:
    use_keys(OLD)
    track, manage, mac = track_token(1, 2), manage_token(3, 4), sign_remainder("t", 1, "x")

    use_keys(NEW, OLD)
    assert track_token(1, 2) != track
    assert read_track_token(track) == (1, 2)
    assert read_manage_token(manage) == (3, 4)
    assert is_remainder_signed("t", 1, "x", mac)

    use_keys(NEW)
    assert read_track_token(track) is None
    assert read_manage_token(manage) is None
    assert not is_remainder_signed("t", 1, "x", mac)


def test_another_installations_key_with_our_number_signs_nothing_here(use_keys: Callable[..., None]) -> None:
    use_keys(FOREIGN)
    track, manage, mac = track_token(1, 2), manage_token(3, 4), sign_remainder("t", 1, "x")

    use_keys(NEW, OLD)

    assert read_track_token(track) is None
    assert read_manage_token(manage) is None
    assert not is_remainder_signed("t", 1, "x", mac)


def test_a_remainder_is_bound_to_its_message_its_link_and_itself() -> None:
    mac = sign_remainder("token", 3, "/a?b=c")

    assert is_remainder_signed("token", 3, "/a?b=c", mac)
    assert not is_remainder_signed("other", 3, "/a?b=c", mac)
    assert not is_remainder_signed("token", 4, "/a?b=c", mac)
    assert not is_remainder_signed("token", 3, "/a?b=d", mac)
    assert not is_remainder_signed("token", 3, "/a?b=c", mac[:-1])
    assert not is_remainder_signed("token", 3, "/a?b=c", "ключ\udcff")
    assert not is_remainder_signed("token", 3, "/a?b=c", "")


def test_parts_of_a_remainder_cannot_move_between_each_other() -> None:
    assert sign_remainder("a", 1, "2") != sign_remainder("a", 12, "")
    assert len(sign_remainder("a", 1, "2")) == 16
