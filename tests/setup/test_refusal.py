"""A wrong environment: whatever was to start ends with code 1, all findings, no traceback, and nothing of a secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amazonsender.core.env import Env, Variable
from amazonsender.embedded.home import free_port
from amazonsender.reference import declared_variables
from amazonsender.settings.gate import refuse_mistakes

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2"
# Of each kind one, among them a value that would send for real if it were taken for something else.
WRONG = {
    "SECRET_KEY_FILE": f"/nowhere/{SECRET}",
    "TOKEN_KEYS": SECRET,
    "DATABASE_URL": f"postgresql://user:{SECRET}/x@db.example/name",
    "SENDING_MODE": "dry",
    "ENGINE_SLOTS": "two",
    "DB_POOL_SIZE": "0",
    "DEBUG": "perhaps",
}
TOLD = [
    "?: (amazonsender.E045) SECRET_KEY_FILE: the file that it names can't be read: No such file or directory.",
    "?: (amazonsender.E043) DEBUG is 'perhaps': neither on nor off.",
    "?: (amazonsender.E044) DATABASE_URL is not an address of its kind.",
    "?: (amazonsender.E042) DB_POOL_SIZE is '0': out of range.",
    "?: (amazonsender.E043) SENDING_MODE is 'dry': not one of its words.",
    "?: (amazonsender.E041) ENGINE_SLOTS is 'two': not a whole number.",
    "?: (amazonsender.E002) Entry 1 of TOKEN_KEYS is not number:hex with 64 or more hex digits.",
]
ENTRY_POINTS = {
    "check": ["manage.py", "check"],
    "a command": ["manage.py", "mailout_status", "1"],
    "a command without checks of its own": ["manage.py", "settings_reference", "--check"],
    "help": ["manage.py", "help"],
    "django-admin": ["-m", "django", "migrate"],
    "stack": ["manage.py", "runstack"],
    "web": ["-m", "granian", "--interface", "wsgi", "--port", "{port}", "--workers", "1", "amazonsender.wsgi:application"],
    "worker": ["-m", "celery", "--app", "amazonsender", "worker", "-c", "1"],
    "scheduler": ["-m", "celery", "--quiet", "--app", "amazonsender", "beat"],
    "a look at workers": ["-m", "celery", "--app", "amazonsender", "status"],
    "a script": ["-c", "import django; django.setup()"],
}  # fmt: skip


def start(
    command: list[str], wrong: dict[str, str], module: str = "amazonsender.settings.production", folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "COV", "LC_"))}
    environment = inherited | {"DJANGO_SETTINGS_MODULE": module, "AMAZONSENDER_IGNORE_DOTENV": "1"} | wrong
    environment["PYTHONPATH"] = f"{folder}{os.pathsep}{ROOT}"
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def findings_in(output: str) -> list[str]:
    return [line.strip() for line in output.splitlines() if line.startswith("  ?: ")]


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_nothing_starts_in_a_wrong_environment(name: str) -> None:
    command = [part.format(port=free_port("127.0.0.1", 0)) for part in ENTRY_POINTS[name]]

    ended = start(command, WRONG, "amazonsender.settings.local")

    assert ended.returncode == 1
    assert "This configuration is refused:\n" in ended.stderr
    assert findings_in(ended.stderr) == TOLD
    assert "Set ENGINE_SLOTS to a whole number of at least 1, or unset it for 2." in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert SECRET not in ended.stderr + ended.stdout


def test_what_is_missing_on_a_server_is_told_together_with_what_is_dangerous_there() -> None:
    ended = start(["manage.py", "check"], {})

    assert ended.returncode == 1
    assert findings_in(ended.stderr) == [
        "?: (amazonsender.E040) SECRET_KEY is not set.",
        "?: (amazonsender.E040) TOKEN_KEYS is not set.",
        "?: (amazonsender.E004) PUBLIC_URL is http://127.0.0.1:8000: links in sent mail would lead nowhere or be unencrypted.",
    ]
    assert (
        "HINT: Set SECRET_KEY, or SECRET_KEY_FILE to the path of a file that holds it. Signs sessions" in ended.stderr
    )


def test_settings_of_ones_own_that_lack_the_gate_are_refused_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "own_settings.py").write_text("from amazonsender.settings.base import *\n")

    ended = start(["-c", "import django; django.setup(); print('ran')"], WRONG, "own_settings", tmp_path)

    assert ended.returncode == 1
    assert findings_in(ended.stderr) == TOLD[:-1]
    assert "ran" not in ended.stdout


def test_the_variable_of_the_server_settings_alone_is_told_with_the_others() -> None:
    ended = start(["manage.py", "check"], WRONG | {"HSTS_SECONDS": "a year"})

    assert "?: (amazonsender.E041) HSTS_SECONDS is 'a year': not a whole number." in findings_in(ended.stderr)
    assert "?: (amazonsender.E041) ENGINE_SLOTS is 'two': not a whole number." in findings_in(ended.stderr)


def nonsense(variable: Variable) -> str:
    return SECRET if variable.secret else "~nobody-here/nonsense"


def test_nonsense_in_every_variable_at_once_is_told_without_a_traceback_and_without_secrets() -> None:
    variables = declared_variables()

    ended = start(["manage.py", "check"], {name: nonsense(variable) for name, variable in variables.items()})

    told = {found for line in findings_in(ended.stderr) if (found := re.search(r"\) ([A-Z_]+) is ", line))}
    refusing = {
        name for name, variable in variables.items() if variable.choices or variable.kind not in {"text", "list"}
    }
    assert ended.returncode == 1
    assert refusing <= {found[1] for found in told}
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


def test_a_secret_in_the_place_of_its_files_path_is_shown_nowhere() -> None:
    secrets = [name for name, variable in declared_variables().items() if variable.secret]

    ended = start(["manage.py", "check"], {f"{name}_FILE": SECRET for name in secrets})

    assert [line for line in findings_in(ended.stderr) if "E045" in line] == [
        f"?: (amazonsender.E045) {name}_FILE: the file that it names can't be read: No such file or directory."
        for name in secrets
    ]
    assert SECRET not in ended.stderr + ended.stdout


def test_a_sound_environment_passes_the_gate() -> None:
    refuse_mistakes(Env({}), {})
