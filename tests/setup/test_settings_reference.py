import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from amazonsender.check_table import CHECKS
from amazonsender.core.env import Env
from amazonsender.management.commands import settings_reference
from amazonsender.reference import declared_variables, render_example, render_files, render_markdown


def test_the_example_file_names_exactly_the_variables_that_the_settings_read() -> None:
    text = (Path(settings.BASE_DIR) / ".env.example").read_text()

    named = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)

    assert named == list(declared_variables())


@pytest.mark.parametrize("name", [".env.example", "settings.md", "security.md"])
def test_generated_references_are_current(name: str) -> None:
    path, text = next((path, text) for path, text in render_files().items() if path.name == name)

    assert path.read_text() == text, "run `python manage.py settings_reference`"


def test_the_command_writes_what_is_out_of_date_and_only_tells_when_asked_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings_reference, "render_files", lambda: {tmp_path / "settings.md": "new"})

    with pytest.raises(SystemExit, match="1"):
        call_command("settings_reference", check=True)
    assert capsys.readouterr().err == "settings.md is out of date: run `python manage.py settings_reference`.\n"
    assert not (tmp_path / "settings.md").exists()

    call_command("settings_reference")
    assert (tmp_path / "settings.md").read_text() == "new"
    assert capsys.readouterr().out == "Wrote settings.md.\n"

    call_command("settings_reference", check=True)


def test_a_required_secret_is_a_line_to_fill_in_and_a_default_is_a_comment() -> None:
    env = Env({"SECRET_KEY": "live value", "PORT": "9"})
    env.str("SECRET_KEY", secret=True, help="Signs.", example="abc")
    env.int("PORT", default=8000, help="Where.")

    text = render_example(env.declared.values())

    assert "# Required. Signs.\nSECRET_KEY=\n" in text
    assert "# Where.\n# PORT=8000\n" in text
    assert "live value" not in text


def test_the_table_shows_kind_default_and_meaning() -> None:
    env = Env({})
    env.section("Sending")
    env.str("SENDING_MODE", default="live", choices=("live", "dry_run"), help="How it sends.")
    env.bool("DEBUG", default=False, help="Pages.")

    text = render_markdown(env.declared.values())

    assert "## Sending\n" in text
    assert "| `SENDING_MODE` | one of `live`, `dry_run` | `live` | How it sends. |\n" in text
    assert "| `DEBUG` | on/off | `off` | Pages. |\n" in text


def test_the_table_of_checks_names_exactly_the_ids_in_the_code() -> None:
    root = Path(settings.BASE_DIR)
    packages = ("amazonsender", "organizations", "subscribers", "delivery", "campaigns", "analytics", "webhooks")
    sources = [path for package in packages for path in (root / package).rglob("*.py") if path.name != "check_table.py"]

    used = {found for path in sources for found in re.findall(r"amazonsender\.[EWI]\d{3}", path.read_text())}

    assert set(CHECKS) == used


def test_nothing_reads_the_environment_past_the_declarations() -> None:
    root = Path(settings.BASE_DIR)
    allowed = {
        "amazonsender/core/env.py",
        "amazonsender/core/figures.py",  # hands a folder to the library that measures
        "amazonsender/celery.py",  # which settings
        "amazonsender/wsgi.py",
        "amazonsender/settings/base.py",  # whether to read .env
        "amazonsender/settings/test.py",
        "amazonsender/stack/console.py",  # colours, by their conventions
        "amazonsender/management/commands/runstack.py",  # handed on to its children
        "delivery/management/commands/connect_account.py",  # variables that its caller names
    }
    packages = ("amazonsender", "organizations", "subscribers", "delivery", "campaigns", "analytics", "webhooks")
    sources = [path.relative_to(root) for package in packages for path in (root / package).rglob("*.py")]

    reading = {
        str(path)
        for path in sources
        if path.parts[:2] != ("amazonsender", "embedded")
        and re.search(r"\bos\.environ\b|\bgetenv\b", (root / path).read_text())
    }

    assert reading == allowed
