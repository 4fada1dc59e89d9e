from __future__ import annotations

import datetime
import io
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from organizations.models import AuditEntry, Organization, User
from subscribers import tasks
from subscribers.models import (
    AttributeDefinition,
    Import,
    ImportChunk,
    ImportReject,
    ImportState,
    List,
    Subscriber,
    Subscription,
)
from subscribers.services.attributes import create_attribute
from subscribers.services.importing import run_import
from subscribers.services.suppressing import suppress
from tests.subscribers.conftest import prepare

pytestmark = pytest.mark.django_db
CONTENT = "E-mail;Город;id\nana@example.com;Рига;1\n=bad;x;2\n"


def upload(client: Client, content: str = CONTENT) -> Import:
    file = SimpleUploadedFile("fair.csv", content.encode("cp1251"), "text/csv")
    response = client.post("/admin/imports/new/", {"file": file})
    run = Import.objects.latest("id")
    assert response.headers["Location"] == f"/admin/imports/{run.pk}/columns/"
    return run


def answers(run: Import, **more: str) -> dict[str, str]:
    fields = {f"field-{i}": entry["field"] for i, entry in enumerate(run.mapping)}
    return {**fields, "mode": "add_update", "act": "start", **more}


def test_a_file_without_addresses_is_not_said_to_be_understood(bob_client: Client) -> None:
    run = upload(bob_client, "a,b\n1,2\n")

    page = bob_client.get(f"/admin/imports/{run.pk}/columns/").content.decode()

    assert "Which column has the addresses?" in page
    assert "We understood" not in page


def test_a_file_goes_through_columns_and_reading_to_its_result(
    bob_client: Client, bob: User, acme: Organization
) -> None:
    run = upload(bob_client)
    page = bob_client.get(f"/admin/imports/{run.pk}/columns/").content.decode()
    assert "We understood 2 of 3 columns. Right?" in page
    assert "Windows-1251 (Cyrillic)" in page
    assert "Рига" in page
    assert "Import 2 rows" in page

    started = bob_client.post(
        f"/admin/imports/{run.pk}/columns/",
        answers(run, new_list="Fair", consent="Signed the form", tags="fair, 2026"),
    )
    assert started.headers["Location"] == f"/admin/imports/{run.pk}/"
    assert "Waiting for a worker." in bob_client.get(f"/admin/imports/{run.pk}/").content.decode()
    tasks.run_import(run.pk)

    page = bob_client.get(f"/admin/imports/{run.pk}/").content.decode()
    assert "1 person is in, 1 row is not." in page
    assert "There is no @ in it." in page
    ana = Subscriber.objects.get()
    assert (ana.attributes, sorted(ana.tags)) == ({"gorod": "Рига"}, ["2026", "fair"])
    assert Subscription.objects.get().list.name == "Fair"
    assert AuditEntry.objects.get(action="import.started").actor == bob
    assert run.created_by == bob

    state = json.loads(bob_client.get(f"/admin/imports/{run.pk}/state/").content)
    assert (state["is_over"], state["percent"], state["created"], state["rejected"]) == (True, 100.0, "1", "1")
    rejects = b"".join(bob_client.get(f"/admin/imports/{run.pk}/rejects.csv")).decode("utf-8-sig")
    assert rejects.splitlines() == ["Line,Reason,E-mail,Город,id", "3,There is no @ in it.,'=bad,x,2"]


def test_a_trial_leads_back_to_the_columns(bob_client: Client) -> None:
    run = upload(bob_client)
    bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, act="try"))
    run_import(import_id=run.pk, mergers=1)

    page = bob_client.get(f"/admin/imports/{run.pk}/").content.decode()
    assert "1 person would come in, 1 row would not." in page
    assert Subscriber.objects.count() == 0

    assert bob_client.post(f"/admin/imports/{run.pk}/again/").headers["Location"].endswith("/columns/")
    run.refresh_from_db()
    assert run.state == ImportState.UPLOADED


def test_what_is_missing_is_said_on_the_page_and_nothing_starts(bob_client: Client, news: List) -> None:
    run = upload(bob_client)

    response = bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, list=str(news.pk)))

    assert response.status_code == 422
    assert "How did they agree? It is kept with every person as proof." in response.content.decode()
    run.refresh_from_db()
    assert run.state == ImportState.UPLOADED
    response = bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, **{"field-0": ""}))
    assert "No column holds the address." in response.content.decode()


def test_a_refusal_leaves_no_list_behind_that_is_in_the_way_the_next_time(
    bob_client: Client, acme: Organization
) -> None:
    run = upload(bob_client)
    wanted = {"new_list": "Fair", "consent": "Signed the form"}

    refused = bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, **wanted, **{"field-0": ""}))
    assert refused.status_code == 422
    assert not List.objects.for_organization(acme).exists()

    accepted = bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, **wanted))
    assert accepted.status_code == 302
    assert List.objects.for_organization(acme).get().name == "Fair"


def test_too_many_new_fields_are_refused_at_the_columns(bob_client: Client, acme: Organization) -> None:
    headings = ",".join(f"c{number}" for number in range(201))
    run = upload(bob_client, f"email,{headings}\nana@example.com{',1' * 201}\n")

    response = bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run))

    assert response.status_code == 422
    assert "at most 200 attributes" in response.content.decode()
    assert not AttributeDefinition.objects.for_organization(acme).exists()


@pytest.mark.parametrize("path", ["imports/?before=²", "subscribers/subscriber/?list=²"])
def test_a_number_that_is_none_shows_the_whole_list(bob_client: Client, path: str) -> None:
    assert bob_client.get(f"/admin/{path}").status_code == 200


def test_other_letters_are_read_at_once(bob_client: Client) -> None:
    run = upload(bob_client)

    bob_client.post(f"/admin/imports/{run.pk}/columns/", {"act": "reread", "encoding": "koi8-r", "delimiter": ";"})

    run.refresh_from_db()
    assert run.encoding == "koi8-r"
    response = bob_client.post(f"/admin/imports/{run.pk}/columns/", {"act": "reread", "encoding": "utf-8-sig"})
    assert response.status_code == 422


def test_addresses_may_be_pasted(bob_client: Client) -> None:
    bob_client.post("/admin/imports/new/", {"pasted": "ana@example.com\nTomas Ek <tomas@example.org>\n"})
    run = Import.objects.get()
    bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run))
    run_import(import_id=run.pk, mergers=1)

    assert sorted(Subscriber.objects.values_list("email", flat=True)) == ["ana@example.com", "tomas@example.org"]


def test_an_empty_file_is_refused_with_the_reason(bob_client: Client) -> None:
    for posted in ({}, *({"file": SimpleUploadedFile("x.csv", content)} for content in (b"\n\n", b"email,name\n"))):
        response = bob_client.post("/admin/imports/new/", posted)
        assert response.status_code == 422
    assert Import.objects.count() == 0


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_workbook_is_told_from_text(bob_client: Client, start: bytes) -> None:
    response = bob_client.post("/admin/imports/new/", {"file": SimpleUploadedFile("people.xlsx", start + bytes(90))})

    assert response.status_code == 422
    assert "Save it there as CSV" in response.content.decode()


def test_stopping_is_one_click(bob_client: Client) -> None:
    run = upload(bob_client)
    bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run))

    bob_client.post(f"/admin/imports/{run.pk}/stop/")

    assert "Stopped. 0 new people are in." in bob_client.get(f"/admin/imports/{run.pk}/").content.decode()
    tasks.run_import(run.pk)
    assert Subscriber.objects.count() == 0


def test_nobody_from_outside_and_no_analyst_reaches_an_import(
    bob_client: Client, carol_client: Client, mallory_client: Client
) -> None:
    run = upload(bob_client)
    paths = ["", "columns/", "state/", "rejects.csv"]
    for client, status in ((mallory_client, 404), (carol_client, 403)):
        assert [client.get(f"/admin/imports/{run.pk}/{path}").status_code for path in paths] == [status] * 4
        for act in ("stop", "again"):
            assert client.post(f"/admin/imports/{run.pk}/{act}/").status_code == status
        assert client.post(f"/admin/imports/{run.pk}/columns/", answers(run)).status_code == status
    run.refresh_from_db()
    assert run.state == ImportState.UPLOADED
    assert b"fair.csv" not in mallory_client.get("/admin/imports/").content


def test_nobody_is_put_on_a_list_of_another_organization(bob_client: Client, other: Organization) -> None:
    theirs = List.objects.create(organization=other, name="Theirs")
    run = upload(bob_client)

    response = bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, list=str(theirs.pk), consent="Signed"))

    assert response.status_code == 422
    assert Subscription.objects.count() == 0


def test_the_list_of_imports_takes_the_same_queries_however_long(
    bob_client: Client, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    prepare(acme, "email\na@example.com\n")
    bob_client.get("/admin/imports/")
    with CaptureQueriesContext(connection) as few:
        bob_client.get("/admin/imports/")
    for _number in range(30):
        prepare(acme, "email\na@example.com\n")

    with django_assert_num_queries(len(few)):
        page = bob_client.get("/admin/imports/")

    assert page.content.count(b"people.csv</a>") == 25
    assert b"Older" in page.content


def test_a_lost_task_is_woken_from_the_database(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare(acme, "email\na@example.com\n")
    Import.objects.filter(pk=run.pk).update(state=ImportState.QUEUED)
    prepare(acme, "email\nb@example.com\n")  # not started: nobody's business
    woken: list[int] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, import_id: woken.append(import_id))

    tasks.wake_imports()

    assert woken == [run.pk]


def test_a_long_import_goes_on_in_the_next_task(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare(acme, "email\na@example.com\n")
    Import.objects.filter(pk=run.pk).update(state=ImportState.QUEUED)
    woken: list[int] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, import_id: woken.append(import_id))
    monkeypatch.setattr(tasks, "SLICE_SECONDS", -1)

    tasks.run_import(run.pk)

    assert woken == [run.pk]
    assert Subscriber.objects.count() == 0


def command(path: Path, *arguments: str) -> dict[str, object]:
    out = StringIO()
    call_command("import_subscribers", str(path), *arguments, "--format", "json", stdout=out)
    answer: dict[str, object] = json.loads(out.getvalue())
    return answer


@pytest.mark.django_db(transaction=True)
def test_the_command_imports_with_the_same_engine(acme: Organization, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("Adresse;Ort;x\nana@example.com;Riga;1\nbad;Oslo;2\n")
    wishes = ("--mapping", "Ort=attribute:city", "--mapping", "x=-", "--tag", "fair")

    trial = command(path, "--organization", "Acme Coffee", *wishes, "--dry-run")
    assert (trial["created"], trial["rejected"], Subscriber.objects.count()) == (1, 1, 0)
    done = command(path, "--organization", str(acme.pk), "--list", "Fair", "--consent", "Signed", *wishes)

    assert (done["state"], done["read"], done["created"], done["reject_reasons"]) == ("done", 2, 1, {"no_at": 1})
    ana = Subscriber.objects.get()
    assert (ana.attributes, ana.tags) == ({"city": "Riga"}, ["fair"])
    assert Subscription.objects.get().list.name == "Fair"
    assert ImportReject.objects.count() == 2


def test_the_command_says_what_is_wrong_with_its_arguments(acme: Organization, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email;Ort\nana@example.com;Riga\n")

    for arguments, message in (
        (["--organization", "Nobody"], "Acme Coffee"),
        (["--organization", "Acme Coffee", "--mapping", "City=first_name"], "email, Ort"),
        (["--organization", "Acme Coffee", "--mapping", "Ort=nonsense"], "nonsense"),
        (["--organization", "Acme Coffee", "--list", "News"], "How did they agree"),
        (["--organization", "²"], "Acme Coffee"),
    ):
        with pytest.raises(CommandError, match=message):
            command(path, *arguments)
    with pytest.raises(CommandError, match="There is no file"):
        command(tmp_path / "none.csv", "--organization", "Acme Coffee")
    assert (Subscriber.objects.count(), List.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_when_nobody_came_in(acme: Organization, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email\nbad\n")

    with pytest.raises(SystemExit) as caught:
        command(path, "--organization", "Acme Coffee")

    assert caught.value.code == 1


@pytest.mark.django_db(transaction=True)
def test_the_command_shows_a_bar_and_tells_the_account_in_words(
    acme: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email,points\nana@example.com,12\nlev@example.com,x\nbad,1\n")
    create_attribute(organization=acme, key="points", type="number")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    out = StringIO()

    call_command("import_subscribers", str(path), "--organization", "Acme Coffee", stdout=out)

    words = " ".join(out.getvalue().split())
    assert "read 3 created 2 updated 0 unchanged 0 rejected 1 duplicates 0 kept out 0" in words
    assert "1 × There is no @ in it. (lines 4)" in words
    assert "1 cells of “points” did not fit its type and stayed empty" in words


def test_a_running_import_tells_how_far_it_is(bob_client: Client, acme: Organization) -> None:
    run = prepare(acme, "email\n" + "".join(f"p{i}@example.com\n" for i in range(100)))
    Import.objects.filter(pk=run.pk).update(
        state=ImportState.READING,
        read=60,
        bytes_read=run.size // 2,
        started_at=timezone.now() - datetime.timedelta(seconds=30),
    )
    page = bob_client.get(f"/admin/imports/{run.pk}/").content.decode()
    assert "60 of 100 rows read." in page
    assert "About 2 minutes left." in page

    Import.objects.filter(pk=run.pk).update(state=ImportState.MERGING, read=100, bytes_read=run.size)
    for number, merged_at in ((1, timezone.now()), (2, None)):
        ImportChunk.objects.create(
            import_run=run, number=number, after="", up_to="x", created=40 if merged_at else 0, merged_at=merged_at
        )
    state = json.loads(bob_client.get(f"/admin/imports/{run.pk}/state/").content)
    assert (state["is_over"], state["percent"], state["headline"]) == (False, 75.0, "40 of 100 rows are in.")
    assert state["left"] == "About 10 seconds left."


def test_a_failed_import_says_why_and_leads_back(bob_client: Client, acme: Organization) -> None:
    run = prepare(acme, "email\na@example.com\n")
    Import.objects.filter(pk=run.pk).update(state=ImportState.FAILED, error="Line 7 has the byte 0xEB.")

    page = bob_client.get(f"/admin/imports/{run.pk}/").content.decode()

    assert "The import stopped." in page
    assert "Line 7 has the byte 0xEB." in page
    assert "Back to the columns" in page


def test_a_file_of_which_nobody_came_in_is_no_success(bob_client: Client) -> None:
    run = upload(bob_client, "email\nbad\nworse\n")
    bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run, **{"field-0": "email"}))
    run_import(import_id=run.pk, mergers=1)

    assert "Nobody came in: 2 rows were rejected." in bob_client.get(f"/admin/imports/{run.pk}/").content.decode()


def test_who_stays_unmailable_is_said_with_numbers(bob_client: Client, acme: Organization, ana: Subscriber) -> None:
    suppress(
        organization=acme, address_key=ana.address_key, scope="all", reason="complaint", source="", at=timezone.now()
    )
    run = upload(bob_client, "email\nana@example.com\n")
    bob_client.post(f"/admin/imports/{run.pk}/columns/", answers(run))
    run_import(import_id=run.pk, mergers=1)

    page = bob_client.get(f"/admin/imports/{run.pk}/").content.decode()

    assert "1 of these people stays as before and gets nothing:" in page
    assert "1 had complained" in page
