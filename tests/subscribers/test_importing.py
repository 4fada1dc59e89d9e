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
from tests.subscribers.conftest import ImportFile, account, emails, prepare, rejects

pytestmark = pytest.mark.django_db


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


def test_one_person_twice_in_a_file_comes_in_once_by_the_first_row(import_file: ImportFile, acme: Organization) -> None:
    run = import_file("email,first_name\na@example.com,One\nb@example.com,B\nA@Example.com,Two\n")

    assert account(run) == {"read": 3, "created": 2, "updated": 0, "unchanged": 0, "rejected": 0, "duplicates": 1}
    assert Subscriber.objects.get(address_key="a@example.com").first_name == "One"


def test_capital_letters_find_the_person_who_is_already_here(import_file: ImportFile, ana: Subscriber) -> None:
    run = import_file("email,first_name\nAna@Example.COM,Anna\n")

    assert account(run)["updated"] == 1
    ana.refresh_from_db()
    assert (ana.first_name, Subscriber.objects.count()) == ("Anna", 1)


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
