"""The Russian catalogue: complete, true to its placeholders, and compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.utils import translation
from django.utils.translation import ngettext

import amazonsender
from delivery.compiling.messages import MESSAGES

FOLDER = Path(amazonsender.__file__).parent / "locale" / "ru" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|(?<!%)(?:%%)+")
BRACES = re.compile(r"(?<![{%])\{\w+\}(?!\})")


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with (FOLDER / "django.po").open("rb") as file:
        return read_po(file, locale="ru")


def _entries(catalogue: Catalog) -> list[Message]:
    return [entry for entry in catalogue if entry.id]


def _forms(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [value or ""] if value is None or isinstance(value, str) else list(value)


def _text(context: str | bytes | None) -> str:
    """Babel reads contexts from compiled catalogues as bytes."""
    return context.decode() if isinstance(context, bytes) else context or ""


def test_every_text_has_a_translation_that_somebody_looked_at(catalogue: Catalog) -> None:
    assert [entry.id for entry in _entries(catalogue) if not all(_forms(entry.string)) or entry.fuzzy] == []


def test_every_text_with_a_number_has_the_three_russian_forms(catalogue: Catalog) -> None:
    plural = [entry for entry in _entries(catalogue) if entry.pluralizable]
    assert plural
    assert [entry.id for entry in plural if len(_forms(entry.string)) != 3] == []


def test_placeholders_are_the_same_in_both_languages(catalogue: Catalog) -> None:
    # "One thing" may leave the number out; in Russian that form also counts 21 and needs it: all forms together count.
    wanted = {entry.id: set(PLACEHOLDER.findall("".join(_forms(entry.id)))) for entry in _entries(catalogue)}
    wrong = [
        form
        for entry in _entries(catalogue)
        for form in _forms(entry.string)
        if entry.python_format and set(PLACEHOLDER.findall(form)) != wanted[entry.id]
    ]
    assert wrong == []


def test_findings_of_the_compiler_keep_their_parameters(catalogue: Catalog) -> None:
    wrong = []
    for text in {text for pair in MESSAGES.values() for text in pair if text}:
        entry = catalogue.get(text)
        assert entry is not None, text
        if sorted(BRACES.findall(text)) != sorted(BRACES.findall(str(entry.string))):
            wrong.append(text)
    assert wrong == []


def test_russian_quotation_marks_replace_english_ones(catalogue: Catalog) -> None:
    assert [
        entry.id for entry in _entries(catalogue) if any(re.search("[“”]", form) for form in _forms(entry.string))
    ] == []


def test_the_compiled_catalogue_is_the_written_one(catalogue: Catalog) -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = {
            (_text(entry.context), *_forms(entry.id)): _forms(entry.string) for entry in read_mo(file) if entry.id
        }
    written = {(entry.context or "", *_forms(entry.id)): _forms(entry.string) for entry in _entries(catalogue)}
    assert compiled == written


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1 человек"), (3, "3 человека"), (11, "11 человек"), (21, "21 человек"), (25, "25 человек")],
)
def test_numbers_take_their_russian_form(number: int, said: str) -> None:
    with translation.override("ru"):
        assert ngettext("%(n)s person", "%(n)s people", number) % {"n": number} == said
