from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from amazonsender.core.env import Env


def found(env: Env) -> list[tuple[str, str, str]]:
    """Each finding as the end of its id, what is wrong, and what to set."""
    return [(str(finding.id).removeprefix("amazonsender."), finding.msg, str(finding.hint)) for finding in env.findings]


def test_values_are_read_by_their_kind() -> None:
    env = Env({"N": "3", "F": "0.5", "ON": "Yes", "OFF": "off", "L": "a, b,,c", "U": "https://x.example/", "P": "/srv"})

    assert env.int("N", help="") == 3
    assert env.float("F", help="") == 0.5
    assert env.bool("ON", help="") is True
    assert env.bool("OFF", help="") is False
    assert env.list("L", help="") == ["a", "b", "c"]
    assert env.url("U", help="") == "https://x.example"
    assert env.path("P", help="") == Path("/srv")
    assert found(env) == []


def test_an_empty_variable_counts_as_not_set() -> None:
    env = Env({"N": "", "L": ""})

    assert env.int("N", default=7, help="") == 7
    assert env.list("L", default=["x"], help="") == ["x"]


def test_a_missing_variable_is_named_with_what_it_is_for() -> None:
    env = Env({})

    assert env.str("SECRET_KEY", help="Signs sessions.") == ""
    assert found(env) == [
        (
            "E040",
            "SECRET_KEY is not set.",
            "Set SECRET_KEY, or SECRET_KEY_FILE to the path of a file that holds it. Signs sessions.",
        )
    ]


@pytest.mark.parametrize(
    ("kind", "value", "finding", "empty"),
    [
        ("int", "three", ("E041", "N is 'three': not a whole number.", "Set N to a whole number."), 0),
        ("int", "1.5", ("E041", "N is '1.5': not a whole number.", "Set N to a whole number."), 0),
        ("float", "x", ("E041", "N is 'x': not a number.", "Set N to a number."), 0.0),
        ("float", "nan", ("E041", "N is 'nan': not a number.", "Set N to a number."), 0.0),
        ("bool", "perhaps", ("E043", "N is 'perhaps': neither on nor off.", "Set N to on or off."), False),
        ("path", "~nobody-here/x", ("E044", "N is '~nobody-here/x': a path into the home of nobody known here.", "Set N to a path without ~."), None),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_understood_is_named_with_what_to_set(
    kind: str, value: str, finding: tuple[str, str, str], empty: object
) -> None:
    env = Env({"N": value})

    assert getattr(env, kind)("N", help="") == empty
    assert found(env) == [finding]


@pytest.mark.parametrize(
    "value",
    [
        "example.com",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://example.com:port",
        "https://example.com:99999",
        "https://[::1",
        "https://example.com and more",
    ],
)
def test_a_malformed_address_is_named_with_the_schemes(value: str) -> None:
    env = Env({"N": value})

    assert env.url("N", help="") == ""
    assert found(env) == [("E044", f"N is {value!r}: not an address of its kind.", "Set N to http://… or https://….")]


def test_numbers_out_of_range_are_named_with_the_range() -> None:
    env = Env({"SLOTS": "0", "SHARE": "1.5", "LOWEST": "1", "HIGHEST": "1"})

    assert env.int("SLOTS", default=2, minimum=1, help="") == 0
    assert env.float("SHARE", default=0.05, bounds=(0, 1), help="") == 0
    assert env.int("LOWEST", minimum=1, help="") == 1
    assert env.float("HIGHEST", bounds=(0, 1), help="") == 1.0
    assert found(env) == [
        ("E042", "SLOTS is '0': out of range.", "Set SLOTS to a whole number of at least 1, or unset it for 2."),
        ("E042", "SHARE is '1.5': out of range.", "Set SHARE to a number from 0 to 1, or unset it for 0.05."),
    ]


def test_a_word_outside_the_choices_is_named_with_the_choices_and_becomes_none_of_them() -> None:
    env = Env({"SENDING_MODE": "dry"})

    assert env.str("SENDING_MODE", default="live", choices=("live", "dry_run"), help="") == ""
    assert found(env) == [
        (
            "E043",
            "SENDING_MODE is 'dry': not one of its words.",
            "Set SENDING_MODE to live or dry_run, or unset it for live.",
        )
    ]


@pytest.mark.parametrize("value", ["memory://", "sqs://", "redis:///0", "amqp://a:5672;amqp://b:5672", "sqs://k:s@"])
def test_addresses_of_brokers_need_no_host_and_may_be_several(value: str) -> None:
    env = Env({"BROKER": value})

    assert env.url("BROKER", schemes=("memory", "sqs", "redis", "amqp"), several=True, help="") == value
    assert found(env) == []


def test_an_address_that_lacks_a_part_is_named_with_an_example() -> None:
    env = Env({"DB": "postgresql://host"})

    env.url("DB", schemes=("postgresql",), form=r"[^:]+://[^/]*/.+", example="postgresql://host/name", help="")

    assert found(env) == [
        (
            "E044",
            "DB is 'postgresql://host': not an address of its kind.",
            "Set DB to postgresql://…, such as postgresql://host/name.",
        )
    ]


@pytest.mark.parametrize("value", ["mysql://user:hunter2@host/db", "postgresql://user:hunter2/x@host/db", "hunter2"])
def test_a_finding_about_a_secret_does_not_show_it_and_tells_how_to_encode_it(value: str) -> None:
    env = Env({"DATABASE_URL": value})

    env.url("DATABASE_URL", default="postgresql://", schemes=("postgresql",), secret=True, help="")

    [(_, message, hint)] = found(env)
    assert message == "DATABASE_URL is not an address of its kind."
    assert hint == (
        "Set DATABASE_URL to postgresql://…; write what is special in a password as %40 for @, %2F for /, %23 for #, "
        "%3A for :."
    )


def test_no_password_in_an_address_and_nothing_of_a_file_is_shown(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("hunter2")
    env = Env({"U": "ftp://user:hunter2@host", "N_FILE": str(tmp_path / "number")})

    env.url("U", help="")
    env.int("N", help="")

    assert [message for _, message, _ in found(env)] == ["U is not an address of its kind.", "N is not a whole number."]


def test_a_long_value_is_shown_in_part() -> None:
    env = Env({"N": "x" * 5000})

    env.int("N", help="")

    assert found(env)[0][1] == f"N is '{'x' * 60}…': not a whole number."


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")

    assert Env({"SECRET_KEY_FILE": str(tmp_path / "key")}).str("SECRET_KEY", help="") == "s3cret"


def test_a_file_that_cannot_be_read_is_named_but_not_where_it_may_be_the_secret_itself(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xd8")
    env = Env(
        {"A_FILE": "/nowhere/a", "B_FILE": str(tmp_path), "C_FILE": str(tmp_path / "picture"), "K_FILE": "s3cret"}
    )

    for name in "ABC":
        env.str(name, default="live", help="")
    assert env.str("K", secret=True, help="") == ""

    assert [(number, message) for number, message, _ in found(env)] == [
        ("E045", "A_FILE: /nowhere/a can't be read: No such file or directory."),
        ("E045", f"B_FILE: {tmp_path} can't be read: Is a directory."),
        ("E045", f"C_FILE: {tmp_path}/picture can't be read: it is not text in UTF-8."),
        ("E045", "K_FILE: the file that it names can't be read: No such file or directory."),
    ]
    assert found(env)[3][2] == (
        "Set K_FILE to the path of a text file that the user this runs as may read, or set K itself."
    )


def test_an_empty_file_is_a_variable_that_is_not_set(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    env = Env({"KEY_FILE": str(tmp_path / "key")})

    env.str("KEY", help="")

    assert found(env)[0][:2] == ("E040", "KEY is not set.")


def test_a_variable_and_its_file_together_are_named() -> None:
    env = Env({"SECRET_KEY": "a", "SECRET_KEY_FILE": "/b"})

    assert env.str("SECRET_KEY", help="") == ""
    assert found(env) == [("E046", "Both SECRET_KEY and SECRET_KEY_FILE are set.", "Unset one of them.")]


def test_every_mistake_is_found_once_and_what_is_right_is_read(tmp_path: Path) -> None:
    env = Env({"A": "x", "B": "2", "D": "maybe"})

    assert (env.int("A", help=""), env.int("B", help=""), env.str("C", help=""), env.bool("D", help="")) == (
        0,
        2,
        "",
        False,
    )
    env.int("A", help="")

    assert [number for number, _, _ in found(env)] == ["E041", "E040", "E043"]
    assert env.broken == {"A", "C", "D"}


def test_a_settings_file_fills_in_what_the_environment_leaves_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# A server.\nexport A='one'\nB = two\nC=\"a=b\"\n\n")
    environ = {"B": "from outside"}
    env = Env(environ)

    env.load_file(tmp_path / ".env")

    assert environ == {"A": "one", "B": "from outside", "C": "a=b"}
    assert found(env) == []


def test_broken_lines_of_a_settings_file_are_named_by_their_numbers_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nhunter2\n=hunter2\nsecret key=hunter2\nB=2\n")
    environ: dict[str, str] = {}
    env = Env(environ)

    env.load_file(file)

    hint = "Write NAME=value on one line, or begin the line with # if it is a remark."
    assert found(env) == [("E047", f"{file}, line {number}: not NAME=value.", hint) for number in (2, 3, 4)]
    assert environ == {"A": "1", "B": "2"}


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    env = Env({})

    env.load_file(tmp_path)

    assert [(number, message) for number, message, _ in found(env)] == [
        ("E048", f"{tmp_path} can't be read: Is a directory.")
    ]


def test_declaring_a_variable_twice_with_different_defaults_is_refused() -> None:
    env = Env({})
    env.int("N", default=1, help="")

    with pytest.raises(ImproperlyConfigured, match="N is declared twice"):
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
