"""A worker is killed with a letter in flight: at most two copies, and an honest end."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from delivery.services.system_emails import sending
from organizations.models import SystemEmail
from tests.databases import database_url
from tests.delivery.providers.contract.smtp_stub import SmtpStub
from tests.delivery.system_emails.conftest import put
from tests.localses.running import Running, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parents[3]
WORK = "import django; django.setup(); from delivery.services.system_emails.sending import send_due; send_due()"


def worker(**way_out: str) -> subprocess.Popen[bytes]:
    """A process that does one slice of the task with the test's database."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "amazonsender.settings.local",
        "AMAZONSENDER_IGNORE_DOTENV": "1",
        "DATABASE_URL": database_url(),
        **way_out,
    }
    return subprocess.Popen([sys.executable, "-c", WORK], cwd=ROOT, env=environment)


def kill_in_flight(localses: Running, copies: int) -> None:
    """Kill a worker once Local SES has its letter and before it hears of it."""
    localses.faults({"fault": "latency", "ms": 20_000, "when": "after"})
    process = worker(LOCALSES_URL=localses.url)
    wait_until(lambda: len(localses.records()) == copies)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    localses.faults()


def let_time_pass() -> None:
    past = timezone.now() - datetime.timedelta(hours=1)
    SystemEmail.objects.filter(state="sending").update(leased_until=past)
    SystemEmail.objects.update(due_at=past)


def test_killed_once_the_letter_goes_out_again_and_killed_twice_it_is_unknown(localses: Running) -> None:
    put("once@acme.example")
    kill_in_flight(localses, 1)
    assert list(SystemEmail.objects.values_list("state", "tries", "doubts")) == [("sending", 1, 0)]
    assert sending.send_due() == 0, "the lease of the dead one lives"

    let_time_pass()
    sending.send_due()
    let_time_pass()
    kill_in_flight(localses, 2)
    let_time_pass()
    sending.send_due()

    row = SystemEmail.objects.get()
    assert (row.state, row.tries, row.doubts, row.sealed_body) == ("unknown", 2, 1, "")
    assert len(localses.records()) == 2


def test_killed_before_it_was_handed_over_it_arrives_once(smtp: SmtpStub) -> None:
    smtp.rule = lambda step, _argument: "wait" if step == "MAIL" else ""
    put()
    process = worker(SYSTEM_EMAIL_PROVIDER="smtp", SYSTEM_EMAIL_SMTP_URL=f"smtp+plain://127.0.0.1:{smtp.port}")
    wait_until(lambda: "MAIL" in smtp.steps)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    smtp.rule = lambda _step, _argument: ""

    let_time_pass()
    sending.send_due()
    let_time_pass()
    sending.send_due()

    assert list(SystemEmail.objects.values_list("state", "tries", "doubts")) == [("sent", 2, 1)]
    assert len(smtp.messages) == 1
