"""People, lists and files for the tests of the audience."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest
from pytest_django import Settings

from organizations.models import Organization
from subscribers.models import Import, ImportMode, ImportReject, List, Subscriber
from subscribers.services.importing import configure_import, create_import, run_import, start_import
from subscribers.services.lists import create_list
from subscribers.services.subscribers import create_subscriber


class ImportFile(Protocol):
    """Runs a file through the whole import, as its only worker."""

    def __call__(self, content: bytes | str, **options: Any) -> Import: ...


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def news(acme: Organization) -> List:
    return create_list(organization=acme, name="News")


@pytest.fixture
def ana(acme: Organization) -> Subscriber:
    return create_subscriber(organization=acme, email="ana@example.com", first_name="Ana")


@pytest.fixture
def import_file(acme: Organization, news: List) -> ImportFile:
    def run(content: bytes | str, **options: Any) -> Import:
        one = prepare(acme, content, **{"mailing_list": news, **options})
        start_import(run=one, is_dry_run=options.get("is_dry_run", False))
        run_import(import_id=one.pk, mergers=1)
        one.refresh_from_db()
        return one

    return run


def prepare(organization: Organization, content: bytes | str, **options: Any) -> Import:
    """Upload a file and accept what was understood of it, but for the options."""
    data = content.encode() if isinstance(content, str) else content
    one = create_import(organization=organization, file_name=options.get("file_name", "people.csv"), chunks=[data])
    mapping = [dict(entry) for entry in one.mapping]
    for column, field in options.get("fields", {}).items():
        next(entry for entry in mapping if entry["column"] == column)["field"] = field
    configure_import(
        run=one,
        mapping=mapping,
        mode=options.get("mode", ImportMode.ADD_AND_UPDATE),
        mailing_list=options.get("mailing_list"),
        consent_text=options.get("consent_text", "Signed the form at the fair"),
        tags=options.get("tags", ()),
    )
    return one


def account(run: Import) -> dict[str, int]:
    """Return the import's account, having checked that it adds up."""
    parts = {name: getattr(run, name) for name in ("created", "updated", "unchanged", "rejected", "duplicates")}
    assert run.read == sum(parts.values()), (run.read, parts)
    return {"read": run.read, **parts}


def rejects(run: Import) -> list[tuple[int, str]]:
    return list(ImportReject.objects.filter(import_run=run).order_by("line").values_list("line", "reason"))


def emails(organization: Organization) -> list[str]:
    return sorted(Subscriber.objects.for_organization(organization).values_list("email", flat=True))
