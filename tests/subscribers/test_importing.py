from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from amazonsender.core.errors import InvalidInput
from organizations.models import Organization
from subscribers.models import (
    AttributeDefinition,
    ConsentRecord,
    Import,
    ImportMode,
    ImportReject,
    ImportState,
    List,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionState,
)
from subscribers.services.attributes import create_attribute
from subscribers.services.consent import subscribe, unsubscribe
from subscribers.services.importing import (
    discard_stale_imports,
    files,
    loading,
    merging,
    reopen_import,
    run_import,
    staging,
    start_import,
)
from subscribers.services.subscribers import create_subscriber, delete_subscriber
from subscribers.services.suppressing import suppress
from tests.subscribers.conftest import ImportFile, account, prepare

pytestmark = pytest.mark.django_db


def rejects(run: Import) -> list[tuple[int, str]]:
    return list(ImportReject.objects.filter(import_run=run).order_by("line").values_list("line", "reason"))


def emails(organization: Organization) -> list[str]:
    return sorted(Subscriber.objects.for_organization(organization).values_list("email", flat=True))


def test_a_file_of_new_people_comes_in_with_names_attributes_lists_and_consent(
    import_file: ImportFile, acme: Organization, news: List
) -> None:
    run = import_file(
        "E-mail;Имя;Nachname;Город;Points;Customer since;Member\n"
        "lev@example.ru;Лев;Orlov;Рига;1 240,5;04.03.2023;да\n"
        "ines@example.pt;Inês;D'Ávila;;80;19.06.2024;нет\n"
    )

    assert run.state == ImportState.DONE
    assert account(run) == {"read": 2, "created": 2, "updated": 0, "unchanged": 0, "rejected": 0, "duplicates": 0}
    lev = Subscriber.objects.get(address_key="lev@example.ru")
    assert (lev.first_name, lev.last_name, lev.status) == ("Лев", "Orlov", SubscriberStatus.ACTIVE)
    assert lev.attributes == {"gorod": "Рига", "points": 1240.5, "customer_since": "2023-03-04", "member": True}
    ines = Subscriber.objects.get(address_key="ines@example.pt")
    assert ines.attributes == {"points": 80, "customer_since": "2024-06-19", "member": False}
    assert dict(AttributeDefinition.objects.for_organization(acme).values_list("key", "type")) == {
        "gorod": "text",
        "points": "number",
        "customer_since": "date",
        "member": "boolean",
    }
    assert set(Subscription.objects.values_list("list", "subscriber", "state")) == {
        (news.pk, lev.pk, SubscriptionState.SUBSCRIBED),
        (news.pk, ines.pk, SubscriptionState.SUBSCRIBED),
    }
    consent = ConsentRecord.objects.get(subscriber=lev)
    assert (consent.action, consent.method, consent.list_id) == ("opt_in", "import", news.pk)
    assert (consent.source, consent.text) == ("people.csv", "Signed the form at the fair")


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


def test_one_person_twice_in_a_file_comes_in_once_by_the_first_row(import_file: ImportFile, acme: Organization) -> None:
    run = import_file("email,first_name\na@example.com,One\nb@example.com,B\nA@Example.com,Two\n")

    assert account(run) == {"read": 3, "created": 2, "updated": 0, "unchanged": 0, "rejected": 0, "duplicates": 1}
    assert Subscriber.objects.get(address_key="a@example.com").first_name == "One"


def test_capital_letters_find_the_person_who_is_already_here(import_file: ImportFile, ana: Subscriber) -> None:
    run = import_file("email,first_name\nAna@Example.COM,Anna\n")

    assert account(run)["updated"] == 1
    ana.refresh_from_db()
    assert (ana.first_name, Subscriber.objects.count()) == ("Anna", 1)


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


def test_an_empty_cell_erases_nothing_and_values_merge(import_file: ImportFile, acme: Organization) -> None:
    create_attribute(organization=acme, key="city")
    create_attribute(organization=acme, key="points", type="number")
    ana = create_subscriber(
        organization=acme,
        email="ana@example.com",
        first_name="Ana",
        attributes={"city": "Riga", "points": 1},
        tags=["old"],
    )

    run = import_file("email,first_name,city,points\nana@example.com,,,7\n", tags=["fair"])

    ana.refresh_from_db()
    assert account(run)["updated"] == 1
    assert (ana.first_name, ana.attributes, ana.tags) == ("Ana", {"city": "Riga", "points": 7}, ["old", "fair"])


def test_a_repeated_import_changes_nothing(import_file: ImportFile) -> None:
    content = "email,first_name,city\na@example.com,A,Riga\nb@example.com,B,Oslo\n"
    import_file(content, tags=["fair"])
    before = list(Subscriber.objects.order_by("id").values())

    run = import_file(content, tags=["fair"])

    assert account(run) == {"read": 2, "created": 0, "updated": 0, "unchanged": 2, "rejected": 0, "duplicates": 0}
    assert list(Subscriber.objects.order_by("id").values()) == before
    assert ConsentRecord.objects.count() == 2


def test_nobody_who_left_bounced_or_complained_becomes_mailable(
    import_file: ImportFile, acme: Organization, news: List
) -> None:
    now = timezone.now()
    people = {
        name: create_subscriber(organization=acme, email=f"{name}@example.com")
        for name in ("gone", "bounced", "complained", "off_list", "suppressed")
    }
    unsubscribe(subscriber=people["gone"], list_id=None, method="page", at=now)
    for name, reason in (("bounced", "hard_bounce"), ("complained", "complaint"), ("suppressed", "manual")):
        suppress(
            organization=acme, address_key=f"{name}@example.com", scope="all", reason=reason, source="test", at=now
        )
    subscribe(subscriber=people["off_list"], list_id=news.pk, method="form", at=now)
    unsubscribe(subscriber=people["off_list"], list_id=news.pk, method="page", at=now)
    stamps = dict(Subscriber.objects.values_list("id", "opted_out_at"))

    run = import_file("email,first_name\n" + "".join(f"{name}@example.com,New\n" for name in people))

    assert (account(run)["updated"], run.kept_out) == (5, 5)
    assert run.kept_out_reasons == {
        "unsubscribed": 1,
        "bounced": 1,
        "complained": 1,
        "left_list": 1,
        "suppressed": 1,
    }
    assert dict(Subscriber.objects.values_list("email", "status")) == {
        "gone@example.com": "unsubscribed",
        "bounced@example.com": "bounced",
        "complained@example.com": "complained",
        "off_list@example.com": "active",
        "suppressed@example.com": "active",
    }
    assert set(Subscriber.objects.values_list("first_name", flat=True)) == {"New"}
    assert dict(Subscription.objects.values_list("subscriber__email", "state")) == {
        "off_list@example.com": "unsubscribed",
        "suppressed@example.com": "subscribed",
    }
    assert dict(Subscriber.objects.values_list("id", "opted_out_at")) == stamps


def test_a_suppressed_address_that_nobody_knew_comes_in_and_stays_out(
    import_file: ImportFile, acme: Organization, other: Organization
) -> None:
    now = timezone.now()
    suppress(organization=acme, address_key="a@example.com", scope="marketing", reason="unsubscribe", source="", at=now)
    suppress(organization=None, address_key="b@example.com", scope="all", reason="hard_bounce", source="", at=now)
    suppress(organization=other, address_key="c@example.com", scope="all", reason="complaint", source="", at=now)
    suppress(
        organization=acme,
        address_key="d@example.com",
        scope="marketing",
        reason="soft_bounce",
        source="",
        at=now,
        expires_at=now - datetime.timedelta(days=1),
    )

    run = import_file("email\na@example.com\nb@example.com\nc@example.com\nd@example.com\n")

    assert (run.created, run.kept_out, run.kept_out_reasons) == (4, 2, {"suppressed": 2})


def test_a_deleted_person_who_had_complained_stays_out_after_an_import(
    import_file: ImportFile, acme: Organization, ana: Subscriber
) -> None:
    suppress(
        organization=acme, address_key=ana.address_key, scope="all", reason="complaint", source="", at=timezone.now()
    )
    ana.refresh_from_db()
    delete_subscriber(subscriber=ana)

    run = import_file("email\nana@example.com\n")

    assert (run.created, run.kept_out) == (1, 1)


def test_only_adding_leaves_those_already_here_alone(import_file: ImportFile, ana: Subscriber) -> None:
    run = import_file("email,first_name\nana@example.com,Other\nnew@example.com,New\n", mode=ImportMode.ADD)

    ana.refresh_from_db()
    assert account(run) == {"read": 2, "created": 1, "updated": 0, "unchanged": 1, "rejected": 0, "duplicates": 0}
    assert ana.first_name == "Ana"
    assert list(Subscription.objects.values_list("subscriber__email", flat=True)) == ["new@example.com"]


def test_only_updating_adds_nobody(import_file: ImportFile, ana: Subscriber, acme: Organization) -> None:
    run = import_file("email,first_name\nana@example.com,Other\nnew@example.com,New\n", mode=ImportMode.UPDATE)

    assert account(run) == {"read": 2, "created": 0, "updated": 1, "unchanged": 0, "rejected": 1, "duplicates": 0}
    assert rejects(run) == [(3, "not_here")]
    assert emails(acme) == ["ana@example.com"]


def test_an_attribute_keeps_its_type_and_cells_that_do_not_fit_stay_empty(
    import_file: ImportFile, acme: Organization
) -> None:
    create_attribute(organization=acme, key="points", type="number")

    run = import_file("email,points,time zone\na@example.com,many,Mars/Base\nb@example.com,12,Europe/Riga\n")

    assert run.dropped_cells == {"points": 1, "time_zone": 1}
    assert dict(Subscriber.objects.values_list("email", "attributes")) == {
        "a@example.com": {},
        "b@example.com": {"points": 12},
    }
    assert Subscriber.objects.get(email="b@example.com").time_zone == "Europe/Riga"


def test_both_spellings_of_a_domain_are_one_person(import_file: ImportFile) -> None:
    run = import_file("email\nx@bücher.example\nx@xn--bcher-kva.example\nx@bu\u0308cher.example\n")

    assert (run.created, run.duplicates) == (1, 2)
    assert Subscriber.objects.get().address_key == "x@xn--bcher-kva.example"


def test_the_same_address_in_two_organizations_is_two_people(
    import_file: ImportFile, other: Organization, acme: Organization
) -> None:
    create_subscriber(organization=other, email="a@example.com", first_name="Theirs")

    import_file("email,first_name\na@example.com,Ours\n")

    assert sorted(Subscriber.objects.values_list("organization", "first_name")) == sorted(
        [(acme.pk, "Ours"), (other.pk, "Theirs")]
    )


def test_a_file_without_headings_is_read_from_its_first_line(import_file: ImportFile, acme: Organization) -> None:
    run = import_file("a@example.com\nb@example.com\n")

    assert (run.has_header, run.created) == (False, 2)


def test_a_trial_counts_exactly_and_keeps_nothing(import_file: ImportFile, ana: Subscriber, acme: Organization) -> None:
    content = "email,first_name,city\nana@example.com,Anna,Riga\nnew@example.com,N,Oslo\nnew@example.com,N,Oslo\nx,,\n"

    trial = import_file(content, is_dry_run=True)

    counted = account(trial)
    assert counted == {"read": 4, "created": 1, "updated": 1, "unchanged": 0, "rejected": 1, "duplicates": 1}
    ana.refresh_from_db()
    assert (ana.first_name, Subscriber.objects.count(), ConsentRecord.objects.count()) == ("Ana", 1, 0)
    assert AttributeDefinition.objects.count() == 0

    reopen_import(run=trial)
    start_import(run=trial)
    run_import(import_id=trial.pk, mergers=1)
    trial.refresh_from_db()
    assert account(trial) == counted
    assert emails(acme) == ["ana@example.com", "new@example.com"]


def test_many_chunks_add_up_and_the_file_and_the_staging_table_are_gone(
    import_file: ImportFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "CHUNK_ROWS", 50)
    monkeypatch.setattr(staging.ranges, "__defaults__", (50,))
    rows = "".join(f"person{i % 900}@example{i % 7}.com,P{i},Riga\n" for i in range(1_000))

    run = import_file("email,first_name,city\n" + rows)

    assert run.chunks.count() > 5
    assert account(run)["read"] == 1_000
    assert run.created == Subscriber.objects.count() == len({(i % 900, i % 7) for i in range(1_000)})
    assert not files.path_of(run).exists()
    assert staging.is_filled(run.pk) is False


def test_people_reach_a_list_only_with_the_way_they_agreed(acme: Organization, news: List) -> None:
    with pytest.raises(InvalidInput, match="How did they agree"):
        prepare(acme, "email\na@example.com\n", mailing_list=news, consent_text=" ")


def test_two_columns_can_not_become_the_same_field(acme: Organization) -> None:
    with pytest.raises(InvalidInput, match="second"):
        prepare(acme, "email,first,city\na@example.com,A,B\n", fields={"city": "first_name"})


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


def test_files_that_nobody_came_back_for_are_deleted(acme: Organization, import_file: ImportFile) -> None:
    old, fresh = prepare(acme, "email\na@example.com\n"), prepare(acme, "email\nb@example.com\n")
    trial = import_file("email\nc@example.com\n", is_dry_run=True)
    Import.objects.exclude(pk=fresh.pk).update(created_at=timezone.now() - datetime.timedelta(days=8))

    assert discard_stale_imports() == 2

    assert [files.path_of(run).exists() for run in (old, fresh, trial)] == [False, True, False]
    assert dict(Import.objects.values_list("id", "state")) == {
        old.pk: ImportState.CANCELLED,
        fresh.pk: ImportState.UPLOADED,
        trial.pk: ImportState.DONE,
    }


def test_names_tags_language_and_zone_come_from_their_columns(import_file: ImportFile) -> None:
    run = import_file(
        "email,Full name,Tags,Language,Time zone\n"
        'a@example.com,Ana Maria Silva,"vip, fair",pt_BR,Europe/Lisbon\n'
        'b@example.com,Bob,"a ""b"" \\c",nonsense!,\n',
        tags=["2026"],
    )

    assert account(run)["created"] == 2
    ana = Subscriber.objects.get(email="a@example.com")
    assert (ana.first_name, ana.last_name, sorted(ana.tags)) == ("Ana", "Maria Silva", ["2026", "fair", "vip"])
    assert (ana.locale, ana.time_zone) == ("pt-BR", "Europe/Lisbon")
    bob = Subscriber.objects.get(email="b@example.com")
    assert (bob.name, bob.locale, sorted(bob.tags)) == ("Bob", "", ["2026", 'a "b" \\c'])
    assert run.dropped_cells == {"locale": 1}


def test_no_more_rejects_are_stored_than_somebody_would_read(
    import_file: ImportFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MAX_STORED_REJECTS", 10)
    monkeypatch.setattr(merging, "MAX_STORED_REJECTS", 12)

    run = import_file(
        "email\n" + "bad\n" * 25 + "".join(f"p{i}@example.com\n" for i in range(9)), mode=ImportMode.UPDATE
    )

    assert account(run)["rejected"] == 34
    assert run.reject_reasons == {"no_at": 25, "not_here": 9}
    assert ImportReject.objects.filter(import_run=run).count() == 12


def test_a_file_in_utf_16_that_breaks_off_is_refused_whole(acme: Organization) -> None:
    run = prepare(acme, "email\na@example.com\nb@example.com\n".encode("utf-16"))
    with files.path_of(run).open("ab") as file:
        file.write(b"\x00\xd8\x0a\x00")
    start_import(run=run)

    run_import(import_id=run.pk, mergers=1)

    run.refresh_from_db()
    assert run.state == ImportState.FAILED
    assert Subscriber.objects.count() == 0
