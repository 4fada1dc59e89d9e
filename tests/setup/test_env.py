import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amazonsender.core.env import Env, SettingError

ROOT = Path(__file__).resolve().parents[2]


def test_values_are_read_by_their_kind() -> None:
    env = Env({"N": "3", "F": "0.5", "ON": "Yes", "OFF": "off", "L": "a, b,,c", "U": "https://x.example/", "P": "/srv"})

    assert env.int("N", help="") == 3
    assert env.float("F", help="") == 0.5
    assert env.bool("ON", help="") is True
    assert env.bool("OFF", help="") is False
    assert env.list("L", help="") == ["a", "b", "c"]
    assert env.url("U", help="") == "https://x.example"
    assert env.path("P", help="") == Path("/srv")


def test_an_empty_variable_counts_as_not_set() -> None:
    env = Env({"N": "", "L": ""})

    assert env.int("N", default=7, help="") == 7
    assert env.list("L", default=["x"], help="") == ["x"]


def test_a_missing_variable_is_named_with_what_it_is_for() -> None:
    with pytest.raises(SettingError, match=r"^SECRET_KEY is not set\. Set it, or SECRET_KEY_FILE: Signs sessions\.$"):
        Env({}).str("SECRET_KEY", help="Signs sessions.")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", "three", "N: 'three' isn't understood; set it to a whole number."),
        ("float", "x", "N: 'x' isn't understood; set it to a number."),
        ("bool", "perhaps", "N: 'perhaps' isn't understood; set it to on or off."),
        ("url", "example.com", "N: 'example.com' isn't understood; set it to http://… or https://…."),
        ("url", "ftp://example.com", "N: 'ftp://example.com' isn't understood; set it to http://… or https://…."),
    ],
)
def test_a_value_that_cannot_be_understood_is_refused_with_what_to_set(kind: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError, match=f"^{re.escape(expected)}$"):
        getattr(Env({"N": value}), kind)("N", help="")


def test_a_number_below_its_minimum_is_refused() -> None:
    with pytest.raises(SettingError, match="a whole number of at least 1"):
        Env({"N": "0"}).int("N", minimum=1, help="")


def test_a_word_outside_the_choices_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingError, match="set it to one of live, dry_run"):
        Env({"SENDING_MODE": "dry"}).str("SENDING_MODE", choices=("live", "dry_run"), help="")


def test_an_error_about_a_secret_does_not_show_it() -> None:
    with pytest.raises(SettingError) as caught:
        Env({"DATABASE_URL": "mysql://user:hunter2@host/db"}).url(
            "DATABASE_URL", schemes=("postgresql",), secret=True, help=""
        )

    assert "hunter2" not in str(caught.value)
    assert "postgresql://…" in str(caught.value)


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")

    assert Env({"SECRET_KEY_FILE": str(tmp_path / "key")}).str("SECRET_KEY", help="") == "s3cret"


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SettingError, match=r"^SECRET_KEY_FILE: /nowhere/key can't be read"):
        Env({"SECRET_KEY_FILE": "/nowhere/key"}).str("SECRET_KEY", help="")


def test_a_variable_and_its_file_together_are_refused() -> None:
    with pytest.raises(SettingError, match="Both SECRET_KEY and SECRET_KEY_FILE are set"):
        Env({"SECRET_KEY": "a", "SECRET_KEY_FILE": "/b"}).str("SECRET_KEY", help="")


def test_a_settings_file_fills_in_what_the_environment_leaves_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# A server.\nexport A='one'\nB = two\nC=\"a=b\"\n\n")
    environ = {"B": "from outside"}
    env = Env(environ)

    env.load_file(tmp_path / ".env")

    assert environ == {"A": "one", "B": "from outside", "C": "a=b"}


def test_a_broken_line_of_a_settings_file_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nnonsense\n")

    with pytest.raises(SettingError, match=r"line 2: expected NAME=value"):
        Env({}).load_file(tmp_path / ".env")


def test_declaring_a_variable_twice_with_different_defaults_is_refused() -> None:
    env = Env({})
    env.int("N", default=1, help="")

    with pytest.raises(SettingError, match="N is declared twice"):
        env.int("N", default=2, help="")


def test_declarations_are_kept_in_order_with_section_and_default() -> None:
    env = Env({})
    env.section("Services")
    env.str("B", default="x", help="The b.", secret=True)
    env.int("A", default=1, help="The a.")

    assert [(v.name, v.section, v.default, v.secret, v.required) for v in env.declared.values()] == [
        ("B", "Services", "x", True, False),
        ("A", "Services", 1, False, False),
    ]


def test_a_missing_setting_is_said_in_one_sentence() -> None:
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "amazonsender.settings.production"}

    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment | {"AMAZONSENDER_IGNORE_DOTENV": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("SECRET_KEY is not set. Set it, or SECRET_KEY_FILE: ")
    assert len(ended.stderr.splitlines()) == 1
