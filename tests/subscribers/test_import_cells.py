"""How a file is read: letters, separators, quotes, cells; and what is said of rows that are none."""

from __future__ import annotations

import pytest

from amazonsender.core.errors import InvalidInput
from organizations.models import Organization
from subscribers.models import (
    ImportReject,
    ImportState,
    List,
    Subscriber,
)
from subscribers.services.importing import (
    files,
    run_import,
    start_import,
)
from tests.subscribers.conftest import ImportFile, account, emails, prepare, rejects

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("content", "encoding", "name"),
    [
        (b"\xef\xbb\xbfemail,name\r\na@example.com,A\r\n", "utf-8-sig", "A"),
        (b"email;name\na@example.com;Zo\xeb \x96 VIP\n", "cp1252", "Zoë – VIP"),
        ("email;имя\na@example.com;Лев\nb@example.com;Наталья\n".encode("cp1251"), "cp1251", "Лев"),
        ("email;имя\na@example.com;Лев\nb@example.com;Наталья\n".encode("koi8-r"), "koi8-r", "Лев"),
        ("email\tname\r\na@example.com\tZoë\r\n".encode("utf-16"), "utf-16", "Zoë"),
        ("email|name\ra@example.com|Zoë\r".encode(), "utf-8-sig", "Zoë"),
        ("sep=;\r\nemail;name\r\na@example.com;Zoë\r\n".encode(), "utf-8-sig", "Zoë"),
    ],
)
def test_letters_and_separators_are_detected(import_file: ImportFile, content: bytes, encoding: str, name: str) -> None:
    run = import_file(content)

    assert (run.state, run.encoding) == (ImportState.DONE, encoding)
    assert Subscriber.objects.get(address_key="a@example.com").name == name
    assert run.rejected == 0


def test_a_byte_outside_of_the_encoding_refuses_the_file_before_anything_is_written(
    acme: Organization, news: List
) -> None:
    run = prepare(acme, "email,name\n" + "".join(f"p{i}@example.com,P\n" for i in range(200)), mailing_list=news)
    with files.path_of(run).open("ab") as file:
        file.write(b"late@example.com,Zo\xeb\n")
    start_import(run=run)

    run_import(import_id=run.pk, mergers=1)

    run.refresh_from_db()
    assert run.state == ImportState.FAILED
    assert "Line 202" in run.error
    assert "0xEB" in run.error
    assert Subscriber.objects.count() == 0


def test_spaces_that_nobody_sees_belong_to_no_address(import_file: ImportFile) -> None:
    run = import_file(
        " Email ,n\na@example.com\u00a0,1\n a@example.com ,2\na@example.com\u200b,3\n\ufeffa@example.com,4\n"
    )

    assert account(run) == {"read": 4, "created": 1, "updated": 0, "unchanged": 0, "rejected": 0, "duplicates": 3}
    assert Subscriber.objects.get().email == "a@example.com"


def test_a_stray_quote_costs_its_own_row_and_no_other(import_file: ImportFile, acme: Organization) -> None:
    run = import_file('email,name\na@example.com,A\nb@example.com,"Bo\nc@example.com,C\n')

    assert rejects(run) == [(3, "unclosed_quote")]
    assert emails(acme) == ["a@example.com", "c@example.com"]
    assert account(run)["read"] == 3


def test_a_later_quote_does_not_close_the_stray_one_over_other_people(
    import_file: ImportFile, acme: Organization
) -> None:
    run = import_file('email,name\na@example.com,"Bo\nb@example.com,B\nc@example.com,C"\nd@example.com,"D ""the"" D"\n')

    assert rejects(run) == [(2, "unclosed_quote")]
    assert emails(acme) == ["b@example.com", "c@example.com", "d@example.com"]
    assert Subscriber.objects.get(address_key="d@example.com").name == 'D "the" D'


def test_a_quoted_cell_may_hold_separators_and_lines(import_file: ImportFile) -> None:
    run = import_file('email,note\na@example.com,"one, two\nthree"\n"b@example.com","5"" pipe \\ tab\there"\n')

    assert account(run)["created"] == 2
    assert Subscriber.objects.get(address_key="a@example.com").attributes == {"note": "one, two\nthree"}
    assert Subscriber.objects.get(address_key="b@example.com").attributes == {"note": '5" pipe \\ tab\there'}


def test_nul_bytes_and_control_characters_are_dropped(import_file: ImportFile) -> None:
    run = import_file(b'email,first_name,note\na@example.com,"A\x00na",x\x01y\nb@example.com,B\x00o,z\n')

    assert account(run)["created"] == 2
    assert Subscriber.objects.get(address_key="a@example.com").first_name == "Ana"
    assert Subscriber.objects.get(address_key="a@example.com").attributes == {"note": "xy"}
    assert Subscriber.objects.get(address_key="b@example.com").first_name == "Bo"


def test_endless_cells_are_rejected_with_their_line(import_file: ImportFile, acme: Organization) -> None:
    long = "x" * 200_000
    endless = "y" * 3_000_000
    run = import_file(
        f'email,first_name,note\na@example.com,{"n" * 121},\nb@example.com,B,"{long}"\nc@example.com,C,{endless}\n'
        "d@example.com,D,fine\n"
    )

    assert [line for line, _reason in rejects(run)] == [2, 3, 4]
    assert {reason for _line, reason in rejects(run)} <= {"value_too_long", "row_too_long"}
    assert emails(acme) == ["d@example.com"]


def test_headings_that_repeat_or_are_missing_do_not_overwrite_each_other(import_file: ImportFile) -> None:
    run = import_file("email,email,,city\na@example.com,b@example.com,x,Riga\n,,,\n\n   \nc@example.com,,,Oslo\n")

    assert [entry["column"] for entry in run.mapping] == ["email", "email (2)", "Column 3", "city"]
    assert [entry["field"] for entry in run.mapping] == ["email", "", "", "attribute:city"]
    assert account(run) == {"read": 2, "created": 2, "updated": 0, "unchanged": 0, "rejected": 0, "duplicates": 0}


def test_two_addresses_in_a_cell_are_a_row_error(import_file: ImportFile, acme: Organization) -> None:
    run = import_file(
        "E-mail 1 - Value,E-mail 2 - Value\na@example.com ::: b@example.com,\nMaria <maria@example.com>,x@example.com\n",
        fields={"E-mail 1 - Value": "email", "E-mail 2 - Value": ""},
    )

    assert rejects(run) == [(2, "several")]
    assert emails(acme) == ["maria@example.com"]


def test_rows_with_too_many_cells_are_rejected_and_short_ones_padded(
    import_file: ImportFile, acme: Organization
) -> None:
    run = import_file("email,first_name,city\na@example.com,Doe, John,Riga\nb@example.com\nc@example.com,C,Riga,,\n")

    assert rejects(run) == [(2, "too_many_cells")]
    assert emails(acme) == ["b@example.com", "c@example.com"]


def test_rejects_name_the_line_the_reason_and_the_row(import_file: ImportFile) -> None:
    run = import_file("name,email\nA,\nB,jesús@example.com\nC,a@localhost\nD,d@example.com\n")

    assert rejects(run) == [(2, "empty"), (3, "local_non_ascii"), (4, "domain_no_dot")]
    assert run.reject_reasons == {"empty": 1, "local_non_ascii": 1, "domain_no_dot": 1}
    second = ImportReject.objects.get(import_run=run, line=3)
    assert (second.detail, second.row) == ("jesús@example.com", ["B", "jesús@example.com"])
    assert account(run)["created"] == 1


def test_a_file_without_headings_is_read_from_its_first_line(import_file: ImportFile, acme: Organization) -> None:
    run = import_file("a@example.com\nb@example.com\n")

    assert (run.has_header, run.created) == (False, 2)


def test_a_file_without_rows_or_addresses_is_refused(acme: Organization) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        prepare(acme, "")
    with pytest.raises(InvalidInput, match="address"):
        prepare(acme, "name,city\nAna,Riga\n")
    with pytest.raises(InvalidInput, match="no rows"):
        prepare(acme, "email,name\n")

    run = prepare(acme, "email\nana@example.com\n")
    files.path_of(run).write_text("email\n")
    start_import(run=run)
    run_import(import_id=run.pk, mergers=1)

    run.refresh_from_db()
    assert (run.state, run.error) == (ImportState.FAILED, "The file has no rows.")


def test_a_file_in_utf_16_that_breaks_off_is_refused_whole(acme: Organization) -> None:
    run = prepare(acme, "email\na@example.com\nb@example.com\n".encode("utf-16"))
    with files.path_of(run).open("ab") as file:
        file.write(b"\x00\xd8\x0a\x00")
    start_import(run=run)

    run_import(import_id=run.pk, mergers=1)

    run.refresh_from_db()
    assert run.state == ImportState.FAILED
    assert Subscriber.objects.count() == 0
