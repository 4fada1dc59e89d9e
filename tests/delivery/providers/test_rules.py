from __future__ import annotations

import pytest

from delivery.providers.base import PermanentError
from delivery.providers.rules import check_headers


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ((("Bad Name", "x"),), "printable ASCII without space"),
        ((("X-Long", "x" * 1000),), "longer than 996"),
        ((("X-Empty", ""),), "not empty"),
        ((("From", "x@example.com"),), "written by the email itself"),
    ],
)
def test_headers_that_cannot_stand_in_a_message_are_refused(headers: tuple[tuple[str, str], ...], said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        check_headers(headers)
