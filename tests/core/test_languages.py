from __future__ import annotations

import pytest

from amazonsender.core.languages import first_spoken


@pytest.mark.parametrize(
    ("locales", "code"),
    [
        (("ru-RU", "en"), "ru"),
        (("pt-BR", "en_GB"), "en"),
        (("", "RU"), "ru"),
        (("de", "pt"), ""),
        ((), ""),
    ],
)
def test_the_first_language_that_we_speak(locales: tuple[str, ...], code: str) -> None:
    assert first_spoken(*locales) == code
