from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from pytest_django import Settings

from amazonsender.core.startup import refuse_wrong_configuration

SERVER: dict[str, Any] = {
    "SECRET_KEY": "0123456789" * 5,
    "TOKEN_KEYS": ["2:" + "ab" * 32, "1:" + "cd" * 32],
    "IS_SERVER": True,
    "DEBUG": False,
    "PUBLIC_URL": "https://mail.acme.example",
    "ALLOWED_HOSTS": ["mail.acme.example"],
    "TRUSTED_PROXIES": 1,
    "LOCALSES_URL": "",
    "CELERY_BROKER_URL": "redis://127.0.0.1:6379/0",
    "SYSTEM_EMAIL_PROVIDER": "ses",
    "SYSTEM_EMAIL_FROM": "Acme <hello@acme.example>",
    "SYSTEM_EMAIL_SMTP_URL": "",
}


def found() -> set[str]:
    return {str(finding.id) for finding in run_checks() if str(finding.id).startswith("amazonsender.")}


def test_a_sound_server_has_no_findings(settings: Settings) -> None:
    with override_settings(**SERVER):
        assert found() == set()


def test_a_laptop_may_do_what_a_server_may_not(settings: Settings) -> None:
    settings.PUBLIC_URL, settings.LOCALSES_URL, settings.DEBUG = "http://127.0.0.1:8000", "http://127.0.0.1:8025", True
    settings.IS_SERVER = False

    assert found() == set()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"SECRET_KEY": "short"}, "E001"),
        ({"SECRET_KEY": "a" * 60}, "E001"),
        ({"SECRET_KEY": "django-insecure-" + "abcdefgh" * 8}, "E001"),
        ({"TOKEN_KEYS": []}, "E002"),
        ({"TOKEN_KEYS": ["ab" * 32]}, "E002"),
        ({"TOKEN_KEYS": ["1:" + "ab" * 31]}, "E002"),
        ({"TOKEN_KEYS": ["1:" + "xy" * 32]}, "E002"),
        ({"TOKEN_KEYS": ["256:" + "ab" * 32]}, "E002"),
        ({"TOKEN_KEYS": ["-1:" + "ab" * 32]}, "E002"),
        ({"TOKEN_KEYS": ["1:" + "ab" * 32, "1:" + "cd" * 32]}, "E002"),
        ({"DEBUG": True}, "E003"),
        ({"PUBLIC_URL": "http://mail.acme.example"}, "E004"),
        ({"PUBLIC_URL": "https://127.0.0.1", "ALLOWED_HOSTS": ["127.0.0.1"]}, "E004"),
        ({"PUBLIC_URL": "https://localhost:8000", "ALLOWED_HOSTS": ["localhost"]}, "E004"),
        ({"ALLOWED_HOSTS": ["*"]}, "E005"),
        ({"ALLOWED_HOSTS": ["admin.acme.example"]}, "E006"),
        ({"LOCALSES_URL": "http://127.0.0.1:8025"}, "E007"),
        ({"CELERY_BROKER_URL": "memory://"}, "E008"),
        ({"TRUSTED_PROXIES": 0}, "W002"),
        ({"SYSTEM_EMAIL_FROM": ""}, "E013"),
        ({"SYSTEM_EMAIL_PROVIDER": "smtp"}, "E013"),
        ({"SYSTEM_EMAIL_PROVIDER": "local"}, "E013"),
        ({"SYSTEM_EMAIL_FROM": "Acme"}, "E014"),
        ({"SYSTEM_EMAIL_PROVIDER": "console"}, "E015"),
        ({"SYSTEM_EMAIL_PROVIDER": "none"}, "W003"),
    ],
)
def test_a_dangerous_configuration_is_named(change: dict[str, Any], finding: str) -> None:
    with override_settings(**{**SERVER, **change}):
        assert found() == {f"amazonsender.{finding}"}


def test_no_host_name_at_all_is_named_with_the_link_that_breaks() -> None:
    with override_settings(**{**SERVER, "ALLOWED_HOSTS": []}):
        assert found() == {"amazonsender.E005", "amazonsender.E006"}


def test_a_pool_before_pgbouncer_is_pointed_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "PORT", "6432")
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", {"pool": {"max_size": 8}})

    assert found() == {"amazonsender.W001"}


def test_a_web_server_or_worker_refuses_to_start_and_says_what_to_set(settings: Settings) -> None:
    refuse_wrong_configuration()

    settings.SECRET_KEY = "short"
    with pytest.raises(SystemExit) as refusal:
        refuse_wrong_configuration()

    assert "amazonsender.E001" in str(refusal.value)
    assert "Set SECRET_KEY to 50 or more random characters" in str(refusal.value)


def test_a_finding_never_shows_a_secret(settings: Settings) -> None:
    settings.SECRET_KEY, settings.TOKEN_KEYS = "hunter2", ["1:deadbeef"]

    text = " ".join(str(finding) for finding in run_checks())

    assert "hunter2" not in text
    assert "deadbeef" not in text
