import pytest
from django.utils import translation

from organizations.templatetags import ui


@pytest.mark.parametrize(("language", "expected"), [("en", "48,213"), ("ru", "48\xa0213")])
def test_numbers_are_grouped_as_the_language_does(language: str, expected: str) -> None:
    with translation.override(language):
        assert ui.n(48213) == expected


@pytest.mark.parametrize(("value", "digits", "expected"), [(98.98, 1, "99.0%"), (0.744, 2, "0.74%"), (None, 1, "")])
def test_percents_are_rounded_not_cut(value: float | None, digits: int, expected: str) -> None:
    assert ui.pct(value, digits) == expected


def test_percents_are_written_as_russian_does() -> None:
    with translation.override("ru"):
        assert ui.pct(38.5) == "38,5\u202f%"


def test_an_account_that_does_not_add_up_is_a_bug() -> None:
    segments = [{"key": "sent", "label": "Sent", "value": 90}, {"key": "failed", "label": "Failed", "value": 9}]

    assert ui.account(segments, 99, "Everybody")["segments"][0]["share"] == 90.909
    with pytest.raises(ValueError, match="do not make its total"):
        ui.account(segments, 100, "Everybody")


def test_the_parts_of_an_account_may_lead_somewhere() -> None:
    segments = [{"key": "excluded", "label": "Left out", "value": 3, "parts": [("Bounced", 2, "/x"), ("Left", 1)]}]

    assert ui.account(segments, 3, "Everybody")["segments"][0]["parts"] == [
        {"label": "Bounced", "value": 2, "href": "/x"},
        {"label": "Left", "value": 1, "href": ""},
    ]


@pytest.mark.parametrize(
    ("value", "tone"), [(0, "ok"), (2.49, "ok"), (2.5, "warn"), (4.99, "warn"), (5, "stop"), (12, "stop")]
)
def test_a_meter_warns_from_half_of_the_line_at_which_amazon_looks(value: float, tone: str) -> None:
    meter = ui.meter("Bounces", value, 5, 10)

    assert meter["tone"] == tone
    assert meter["share"] == min(100, round(value * 10, 3))


def test_an_icon_is_hidden_from_screen_readers_and_cannot_carry_markup() -> None:
    assert ui.icon("<b>") == ('<span class="material-symbols-outlined as-icon " aria-hidden="true">&lt;b&gt;</span>')
