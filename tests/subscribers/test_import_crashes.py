from __future__ import annotations

import datetime
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone

from amazonsender.core.errors import Conflict
from organizations.models import Organization
from subscribers.models import (
    ConsentRecord,
    Import,
    ImportChunk,
    ImportState,
    List,
    Subscriber,
    Subscription,
)
from subscribers.services.domains import get_domain_ids
from subscribers.services.importing import (
    cancel_import,
    claim_import,
    reopen_import,
    run_import,
    running,
    staging,
    start_import,
)
from subscribers.services.importing.files import path_of
from subscribers.services.importing.merging import merge_chunk
from subscribers.services.subscribers import create_subscriber
from tests.databases import database_url
from tests.subscribers.conftest import account, prepare

pytestmark = pytest.mark.django_db


def test_a_second_worker_leaves_a_claimed_import_alone(acme: Organization) -> None:
    run = prepare(acme, "email\na@example.com\n")
    start_import(run=run)
    assert claim_import(import_id=run.pk) is not None

    assert run_import(import_id=run.pk, mergers=1) is False

    assert Subscriber.objects.count() == 0


def test_a_worker_that_died_while_merging_is_followed_by_one_that_merges_the_rest(
    acme: Organization, news: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging.ranges, "__defaults__", (50,))
    run = prepare(
        acme, "email\n" + "".join(f"p{i}@example.com\n" for i in range(500)) + "p1@example.com\n", mailing_list=news
    )
    start_import(run=run)
    merge = merge_chunk
    calls: list[int] = []

    def die_at_the_fourth(one: Import, chunk: ImportChunk) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise SystemExit
        return merge(one, chunk)

    monkeypatch.setattr(running, "merge_chunk", die_at_the_fourth)
    with pytest.raises(SystemExit):
        run_import(import_id=run.pk, mergers=1)
    monkeypatch.setattr(running, "merge_chunk", merge)
    half = Subscriber.objects.count()
    assert 0 < half < 500
    assert run_import(import_id=run.pk, mergers=1) is False  # the lease is still alive
    assert Subscriber.objects.count() == half
    Import.objects.filter(pk=run.pk).update(lease_until=timezone.now() - datetime.timedelta(seconds=1))

    run_import(import_id=run.pk, mergers=1)

    run.refresh_from_db()
    assert (run.state, run.claim) == (ImportState.DONE, 2)
    assert account(run) == {"read": 501, "created": 500, "updated": 0, "unchanged": 0, "rejected": 0, "duplicates": 1}
    assert Subscription.objects.count() == ConsentRecord.objects.count() == 500


def test_a_database_crash_that_empties_the_staging_table_costs_only_another_reading(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging.ranges, "__defaults__", (50,))
    run = prepare(acme, "email\nbad\n" + "".join(f"p{i}@example.com\n" for i in range(300)))
    start_import(run=run)
    assert run_import(import_id=run.pk, mergers=1, max_seconds=0) is True
    staging.create(run.pk)

    while run_import(import_id=run.pk, mergers=1):
        pass

    run.refresh_from_db()
    assert account(run) == {"read": 301, "created": 300, "updated": 0, "unchanged": 0, "rejected": 1, "duplicates": 0}
    assert Subscriber.objects.count() == 300


def test_stopping_keeps_what_came_in_and_nothing_more(
    acme: Organization, news: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging.ranges, "__defaults__", (50,))
    run = prepare(acme, "email\n" + "".join(f"p{i}@example.com\n" for i in range(500)), mailing_list=news)
    start_import(run=run)
    merge = merge_chunk
    calls: list[int] = []

    def stop_at_the_third(one: Import, chunk: ImportChunk) -> object:
        calls.append(1)
        if len(calls) == 3:
            cancel_import(run=Import.objects.get(pk=run.pk))
        return merge(one, chunk)

    monkeypatch.setattr(running, "merge_chunk", stop_at_the_third)

    assert run_import(import_id=run.pk, mergers=1) is False

    run.refresh_from_db()
    assert run.state == ImportState.CANCELLED
    merged = sum(run.chunks.filter(merged_at__isnull=False).values_list("created", flat=True))
    assert Subscriber.objects.count() == merged
    assert len(calls) == 3
    assert staging.is_filled(run.pk) is False
    with pytest.raises(Conflict):
        cancel_import(run=run)


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_people_at_once_count_each_person_once(acme: Organization, news: List) -> None:
    content = "email,city\n" + "".join(f"p{i}@example.com,C{i}\n" for i in range(3_000))
    runs = [prepare(acme, content, mailing_list=news) for _number in range(2)]
    for run in runs:
        start_import(run=run)

    def work(run: Import) -> None:
        run_import(import_id=run.pk, mergers=1)
        connection.close()

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    accounts = []
    for run in runs:
        run.refresh_from_db()
        assert run.state == ImportState.DONE
        accounts.append(account(run))
    assert sum(one["created"] for one in accounts) == Subscriber.objects.count() == 3_000
    assert sum(one["unchanged"] for one in accounts) == 3_000
    assert Subscription.objects.count() == ConsentRecord.objects.count() == 3_000


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_half_way_loses_and_doubles_nobody(acme: Organization, news: List, data_dir: Path) -> None:
    rows = 40_000
    content = "email,city\n" + "".join(f"p{i}@d{i % 50}.example.com,C{i}\n" for i in range(rows))
    run = prepare(acme, content, mailing_list=news)
    start_import(run=run)
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import django; django.setup()\n"
            "from subscribers.services.importing import run_import\n"
            f"run_import(import_id={run.pk}, mergers=1)",
        ],
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "DATA_DIR": str(data_dir),
        },
    )
    merged = run.chunks.filter(merged_at__isnull=False)
    deadline = time.monotonic() + 60
    while not merged.exists() and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    # PostgreSQL notices a dead client only when it speaks to it again.
    half = Subscriber.objects.count()
    assert 0 < half < rows
    assert Import.objects.get(pk=run.pk).state == ImportState.MERGING
    Import.objects.filter(pk=run.pk).update(lease_until=timezone.now() - datetime.timedelta(seconds=1))

    assert run_import(import_id=run.pk) is False

    run.refresh_from_db()
    assert (run.state, run.claim) == (ImportState.DONE, 2)
    assert account(run)["created"] == rows
    assert Subscriber.objects.count() == Subscription.objects.count() == ConsentRecord.objects.count() == rows


@pytest.mark.django_db(transaction=True)
def test_several_connections_merge_at_once_with_one_account(
    acme: Organization, news: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging.ranges, "__defaults__", (100,))
    run = prepare(
        acme,
        "email,city\n" + "".join(f"p{i % 1900}@d{i % 20}.example.com,C{i}\n" for i in range(2_000)),
        mailing_list=news,
    )
    start_import(run=run)

    assert run_import(import_id=run.pk, mergers=3) is False

    run.refresh_from_db()
    assert (run.state, run.error) == (ImportState.DONE, "")
    assert account(run)["read"] == 2_000
    assert run.created == Subscriber.objects.count() == ConsentRecord.objects.count() == 1_900


@pytest.mark.django_db(transaction=True)
def test_somebody_who_signs_up_while_their_chunk_is_merged_is_counted_as_already_here(
    acme: Organization, news: List
) -> None:
    run = prepare(acme, "email,first_name\nana@example.com,Ana\nbob@example.com,Bob\n", mailing_list=news)
    start_import(run=run)
    get_domain_ids(names=["example.com"])
    inserted = threading.Event()

    def sign_up() -> None:
        with transaction.atomic():
            create_subscriber(organization=acme, email="ana@example.com")
            inserted.set()
            time.sleep(0.5)  # the import runs into the uncommitted row and waits for it
        connection.close()

    thread = threading.Thread(target=sign_up)
    thread.start()
    inserted.wait(10)
    run_import(import_id=run.pk, mergers=1)
    thread.join()

    run.refresh_from_db()
    assert account(run) == {"read": 2, "created": 1, "updated": 1, "unchanged": 0, "rejected": 0, "duplicates": 0}
    assert Subscriber.objects.get(email="ana@example.com").first_name == "Ana"
    assert Subscription.objects.count() == 2


def test_an_import_that_kills_every_worker_ends_with_a_reason(acme: Organization) -> None:
    run = prepare(acme, "email\na@example.com\n")
    start_import(run=run)
    Import.objects.filter(pk=run.pk).update(claim=running.MAX_CLAIMS)

    assert run_import(import_id=run.pk, mergers=1) is False

    run.refresh_from_db()
    assert run.state == ImportState.FAILED
    assert "never came to its end" in run.error


def test_a_file_that_vanished_is_said_so(acme: Organization) -> None:
    run = prepare(acme, "email\na@example.com\n")
    start_import(run=run)
    path_of(run).unlink()

    run_import(import_id=run.pk, mergers=1)

    run.refresh_from_db()
    assert (run.state, run.error) == (ImportState.FAILED, "The file is gone. Upload it again.")
    with pytest.raises(Conflict):
        reopen_import(run=run)


def test_a_worker_that_was_given_up_for_dead_writes_nothing(
    acme: Organization, news: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare(acme, "email\na@example.com\n", mailing_list=news)
    start_import(run=run)

    def be_overtaken(one: Import, chunk: ImportChunk) -> object:
        Import.objects.filter(pk=run.pk).update(claim=run.claim + 5)
        return merge_chunk(one, chunk)

    monkeypatch.setattr(running, "merge_chunk", be_overtaken)

    assert run_import(import_id=run.pk, mergers=1) is False

    run.refresh_from_db()
    assert run.state == ImportState.MERGING
    assert Subscriber.objects.count() == Subscription.objects.count() == 0
    assert staging.is_filled(run.pk)  # it is the other worker's now
