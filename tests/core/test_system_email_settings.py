"""What the variables of own mail become."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amazonsender.core.env import Env
from amazonsender.core.system_email import encoded_mailbox, parse_smtp_url

ROOT = Path(__file__).resolve().parents[2]
ASKED = (
    "EMAIL_BACKEND", "SYSTEM_EMAIL_PROVIDER", "DEFAULT_FROM_EMAIL", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_USE_TLS",
    "AWS_SES_REGION_ENDPOINT_URL", "AWS_SES_CONFIGURATION_SET", "AWS_SES_ACCESS_KEY_ID", "USE_SES_V2",
)  # fmt: skip
PROGRAM = (
    "import json, sys; from importlib import import_module; found = import_module(sys.argv[1]);"
    "print(json.dumps({name: getattr(found, name, None) for name in sys.argv[2:]}))"
)


def settings_of(module: str, **variables: str) -> dict[str, object]:
    """What the settings say in a process of their own with these variables."""
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {"AMAZONSENDER_IGNORE_DOTENV": "1", "SECRET_KEY": "x" * 50, "TOKEN_KEYS": "1:" + "ab" * 32} | variables
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"amazonsender.settings.{module}", *ASKED],
        env=known | given, cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def test_beside_local_ses_own_mail_goes_there_with_its_keys() -> None:
    found = settings_of("local", LOCALSES_URL="http://127.0.0.1:8025", LOCALSES_ACCESS_KEY="key")

    assert found["EMAIL_BACKEND"] == "django_ses.SESBackend"
    assert found["AWS_SES_REGION_ENDPOINT_URL"] == "http://127.0.0.1:8025"
    assert (found["AWS_SES_ACCESS_KEY_ID"], found["USE_SES_V2"]) == ("key", True)
    assert found["DEFAULT_FROM_EMAIL"] == "AmazonSender <hello@amazonsender.example>"


def test_a_laptop_without_local_ses_writes_to_the_console_and_a_server_nowhere() -> None:
    assert settings_of("local")["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend"

    server = settings_of("production")

    assert server["SYSTEM_EMAIL_PROVIDER"] == "none"
    assert server["EMAIL_BACKEND"] == "django.core.mail.backends.dummy.EmailBackend"


def test_amazon_takes_the_keys_of_its_own_chain() -> None:
    found = settings_of(
        "production",
        SYSTEM_EMAIL_PROVIDER="ses",
        SYSTEM_EMAIL_FROM="Почта <hello@acme.example>",
        SYSTEM_EMAIL_REGION="eu-central-1",
        SYSTEM_EMAIL_CONFIGURATION_SET="own",
    )

    assert found["AWS_SES_REGION_ENDPOINT_URL"] == "https://email.eu-central-1.amazonaws.com"
    assert (found["AWS_SES_ACCESS_KEY_ID"], found["AWS_SES_CONFIGURATION_SET"]) == (None, "own")
    assert found["DEFAULT_FROM_EMAIL"] == "=?utf-8?b?0J/QvtGH0YLQsA==?= <hello@acme.example>"


def test_a_server_of_its_own_is_read_from_one_address() -> None:
    found = settings_of(
        "production", SYSTEM_EMAIL_PROVIDER="smtp", SYSTEM_EMAIL_SMTP_URL="smtp://us%40er:p%3Aw@smtp.acme.example"
    )

    assert found["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend"
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("smtp.acme.example", 587, True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", ("127.0.0.1", 25, "", "", False, False)),
        ("smtp://u%40a:p%3Aw@mx.example", ("mx.example", 587, "u@a", "p:w", True, False)),
        ("smtps://mx.example:4650", ("mx.example", 4650, "", "", False, True)),
        ("smtp+plain://mx.example:2525", ("mx.example", 2525, "", "", False, False)),
    ],
)
def test_the_address_of_a_server_says_how_it_is_encrypted(url: str, expected: tuple[object, ...]) -> None:
    assert parse_smtp_url(url) == expected


@pytest.mark.parametrize("text", ["", "Acme", "hello@localhost", "@acme.example", "привет@acme.example"])
def test_what_is_no_sender_for_amazon_is_told_apart(text: str) -> None:
    assert encoded_mailbox(text) == ""


def test_an_empty_variable_counts_as_not_given() -> None:
    env = Env({"A": "console", "B": ""})

    assert (env.given("A"), env.given("B"), env.given("C")) == (True, False, False)
