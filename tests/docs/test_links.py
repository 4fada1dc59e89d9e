"""What a page promises must be there: files, headings, commands, settings."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.core.management import get_commands, load_command_class

from tests.docs.pages import PROJECT, Page, anchor, list_pages

PAGES = list_pages()
OWN_APPS = {"amazonsender", "organizations", "subscribers", "delivery", "campaigns"}


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def everything() -> str:
    return "\n".join(page.text for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    broken = []
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            continue
        target, _, fragment = link.partition("#")
        path = (page.path.parent / unquote(target)).resolve() if target else page.path
        if not path.exists() or not path.is_relative_to(PROJECT) or (fragment and fragment not in Page(path).anchors()):
            broken.append(link)

    assert broken == []


def test_the_walk_through_the_code_links_to_many_files() -> None:
    walk = next(page for page in PAGES if page.name == "docs/one-email.md")

    sources = {link for link in walk.links() if link.endswith(".py")}

    assert len(sources) > 40


def test_every_page_of_docs_is_linked_from_another() -> None:
    linked = {
        (page.path.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in page.links()
        if ":" not in link
    }

    lonely = [page.name for page in PAGES if page.path not in linked and page.name != "README.md"]

    assert lonely == []


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Nothing becomes delivered", "nothing-becomes-delivered"),
        ("Backups, copies and `confirm_home`", "backups-copies-and-confirm_home"),
        ("1. The domain, and DKIM", "1-the-domain-and-dkim"),
        ("Amazon's suppression list", "amazons-suppression-list"),
    ],
)
def test_headings_get_the_ids_of_a_forge(heading: str, expected: str) -> None:
    assert anchor(heading) == expected


def test_every_command_that_a_page_names_exists() -> None:
    commands = get_commands()

    named = set(re.findall(r"(?:manage\.py|run\.py manage) ([a-z_]+)", everything()))

    assert {"bootstrap", "check_account", "confirm_home", "mailout_status", "send_campaign"} <= named
    assert sorted(named - set(commands)) == []


def test_every_command_of_the_product_is_on_the_page_for_operators() -> None:
    own = {name for name, app in get_commands().items() if str(app) in OWN_APPS}

    page = text_of(PROJECT / "docs" / "operations.md")

    assert sorted(name for name in own if f"`{name}" not in page) == []


def test_the_help_of_every_command_names_its_exit_codes() -> None:
    own = {name: str(app) for name, app in get_commands().items() if str(app) in OWN_APPS}

    helps = {name: load_command_class(app, name).create_parser("manage.py", name) for name, app in own.items()}

    silent = [name for name, parser in helps.items() if "Exit code 0: " not in " ".join(parser.format_help().split())]
    assert silent == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(PROJECT / "Makefile"), re.MULTILINE))

    code = "\n".join(re.findall(r"`[^`\n]+`|^```.*?^```$", everything(), re.MULTILINE | re.DOTALL))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))

    assert {"demo", "test", "check", "login", "wipe", "bench-send"} <= named
    assert sorted(named - targets) == []


def test_every_verb_of_run_py_that_a_page_names_exists() -> None:
    help_text = subprocess.run(
        [sys.executable, str(PROJECT / "run.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout

    named = set(re.findall(r"run\.py ([a-z]+)", everything()))

    assert {"demo", "test", "manage"} <= named
    assert [verb for verb in sorted(named) if not re.search(rf"^  {verb} ", help_text, re.MULTILINE)] == []


def test_every_setting_in_the_example_of_a_server_is_one_of_ours() -> None:
    example = re.search(
        r"In `\.env`, at least:\n\n```sh\n(.*?)```", text_of(PROJECT / "docs" / "operations.md"), re.DOTALL
    )
    assert example is not None

    named = set(re.findall(r"^([A-Z_]+)=", example.group(1), re.MULTILINE))

    known = text_of(PROJECT / "docs" / "settings.md")
    assert {"SECRET_KEY", "TOKEN_KEYS", "PUBLIC_URL", "DATABASE_URL"} <= named
    assert [name for name in sorted(named) if f"| `{name}` |" not in known] == []


def test_the_figures_that_pages_repeat_are_those_of_the_code() -> None:
    from delivery.engine import braking, claiming, outages, sending, settling
    from delivery.models import SendingAccount

    engine = text_of(PROJECT / "docs" / "engine.md")
    meta = SendingAccount._meta

    assert (braking.SMALLEST_SAMPLE, braking.BOUNCE_SHARE, braking.COMPLAINT_SHARE) == (200, 0.05, 0.003)
    assert "from 200 emails on, a mailout pauses itself at 5 % bounces, at 0.3 %" in engine
    assert f"the lease is {claiming.LEASE_SECONDS} s" in engine
    assert f"later than {sending.START_WITHIN_SECONDS:.0f} s after arming" in engine
    assert (outages.OUTAGE_STREAK, outages.PROBE_FIRST_SECONDS, outages.PROBE_LONGEST_SECONDS) == (3, 2.0, 300.0)
    assert settling.MAX_ATTEMPTS == 8
    assert meta.get_field("pilot_threshold").default == 5000
    assert meta.get_field("pilot_size").default == 1000
    assert meta.get_field("pilot_wait_seconds").default == 900
    assert meta.get_field("calls_in_flight").default == 16


def test_the_policy_for_amazon_is_valid_json_with_what_the_adapter_calls() -> None:
    import json

    page = text_of(PROJECT / "docs" / "ses.md")
    policy = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL).group(1))  # type: ignore[union-attr]

    actions: set[str] = set()
    for statement in policy["Statement"]:
        granted = statement["Action"]
        actions |= {granted} if isinstance(granted, str) else set(granted)
        assert statement["Effect"] == "Allow"

    assert {"ses:SendEmail", "ses:SendBulkEmail", "ses:GetAccount", "ses:GetEmailIdentity"} <= actions
    assert "sns:ConfirmSubscription" in actions
    assert not any(action.endswith("*") for action in actions)
