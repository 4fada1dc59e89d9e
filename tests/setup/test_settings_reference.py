import re
from pathlib import Path

import pytest
from django.conf import settings

from amazonsender.core.env import Env
from amazonsender.reference import declared_variables, render_example, render_files, render_markdown


def test_the_example_file_names_exactly_the_variables_that_the_settings_read() -> None:
    text = (Path(settings.BASE_DIR) / ".env.example").read_text()

    named = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)

    assert named == list(declared_variables())


@pytest.mark.parametrize("name", [".env.example", "settings.md"])
def test_generated_references_are_current(name: str) -> None:
    path, text = next((path, text) for path, text in render_files().items() if path.name == name)

    assert path.read_text() == text, "run `python manage.py settings_reference`"


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
