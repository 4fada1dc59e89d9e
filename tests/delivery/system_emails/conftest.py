"""Own mail over a real Local SES, or a stub of an SMTP server."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from delivery.services.system_emails import sending
from organizations.models import SystemEmail, SystemEmailPurpose
from organizations.services import system_emails as queue
from organizations.services.letters import Letter
from tests.delivery.providers.contract.smtp_stub import SmtpStub
from tests.localses.running import Running, free_port, start, stop

LETTER = Letter(subject="Новый пароль", text="Here: https://acme.example/secret\n", html="<p>Здесь: secret</p>")


def put(to: str = "ann@acme.example", letter: Letter = LETTER) -> SystemEmail:
    email = queue.queue(
        purpose=SystemEmailPurpose.PASSWORD_RESET, to=to, letter=letter, useful_for=datetime.timedelta(hours=1)
    )
    assert email is not None
    return SystemEmail.objects.get(pk=email.pk)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a slice comes to the end of what is due."""
    monkeypatch.setattr(sending, "SLICE_SECONDS", 600.0)


@pytest.fixture(scope="package")
def localses_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("localses"), free_port(), LOCALSES_IDENTITIES="amazonsender.example")
    yield running
    stop(running)


@pytest.fixture
def localses(localses_process: Running, settings: Settings) -> Iterator[Running]:
    """Own mail goes there, as in the demo."""
    settings.SYSTEM_EMAIL_PROVIDER = "local"
    settings.EMAIL_BACKEND = "django_ses.SESBackend"
    settings.AWS_SES_REGION_ENDPOINT_URL = localses_process.url
    settings.AWS_SES_ACCESS_KEY_ID, settings.AWS_SES_SECRET_ACCESS_KEY = "localses", "localses-secret"
    localses_process.http.delete(f"{localses_process.url}/_localses/messages")
    yield localses_process
    localses_process.faults()


@pytest.fixture
def smtp(settings: Settings) -> Iterator[SmtpStub]:
    """Own mail goes there, signed in."""
    stub = SmtpStub()
    settings.SYSTEM_EMAIL_PROVIDER = "smtp"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", stub.port, 20
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "acme", "secret"
    yield stub
    stub.stop()
