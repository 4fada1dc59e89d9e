"""A real web process whose database, cache and broker go away one after the other, and come back."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from django.db import connection

from amazonsender.core.processes import wait_for
from delivery.models import Inbox, SendingAccount
from organizations.models import Organization
from tests.benchmarks.harness import kill, start_web
from tests.core.passages import Passage, passage
from tests.delivery.engine.worker_processes import running_broker
from tests.delivery.events.notifications import event
from tests.webhooks.web_process import KEY, STREAM, firehose_headers

pytestmark = pytest.mark.processes

TOKEN = "t" * 32
SERVICES = ("database", "cache", "broker")
PATIENCE_SECONDS = 20.0
LONGEST_SECONDS = 8.0  # for one answer; a load balancer would have given up


@dataclass
class Watched:
    """A web process, and its ways to its services."""

    url: str
    ways: dict[str, Passage]

    def states(self) -> tuple[int, str, dict[str, str]]:
        """Status, state of all, and of each service."""
        answer = httpx.get(f"{self.url}/health/ready", timeout=LONGEST_SECONDS)
        body = answer.json()
        assert list(body["services"]) == list(SERVICES)
        assert all(service["ms"] >= 0 for service in body["services"].values())
        return answer.status_code, body["status"], {name: one["state"] for name, one in body["services"].items()}

    def figures(self) -> str:
        return httpx.get(
            f"{self.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=LONGEST_SECONDS
        ).text


@pytest.fixture
def watched(transactional_db: None, tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        broker = urlsplit(str(stack.enter_context(running_broker(tmp_path)).conf.broker_url))
        given = connection.settings_dict
        user = given["USER"] + (f":{given['PASSWORD']}" if given["PASSWORD"] else "")
        places = {
            "database": (given["HOST"] or "127.0.0.1", int(given["PORT"] or 5432)),
            "cache": (broker.hostname or "", broker.port or 0),
            "broker": (broker.hostname or "", broker.port or 0),
        }
        ways = {name: stack.enter_context(passage(*place)) for name, place in places.items()}
        secret = f":{broker.password}@" if broker.password else ""
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "amazonsender.settings.local",
            "DATABASE_URL": f"postgresql://{user}@127.0.0.1:{ways['database'].port}/{given['NAME']}?sslmode=disable",
            "CACHE_URL": f"redis://{secret}127.0.0.1:{ways['cache'].port}/1",
            "CELERY_BROKER_URL": f"redis://{secret}127.0.0.1:{ways['broker'].port}/0",
            "FIREHOSE_ACCESS_KEYS": KEY,
            "METRICS_TOKEN": TOKEN,
            "METRICS_DIR": str(tmp_path / "figures"),
            "LOG_LEVEL": "ERROR",
        }
        process, port = start_web(environment)
        stack.callback(lambda: kill([process]) if process.poll() is None else None)
        yield Watched(f"http://127.0.0.1:{port}", ways)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0  # no question that is open holds it


def test_a_broker_that_goes_or_hangs_keeps_no_event_from_being_stored(watched: Watched, acme: Organization) -> None:
    SendingAccount.objects.create(organization=acme, name="L", is_local=True, topic_arns=[STREAM])
    way = watched.ways["broker"]

    for number, harm in enumerate((way.open, way.swallow, way.shut)):
        harm()
        record = base64.b64encode(orjson.dumps(event("delivery", mailout_id=7, n=1, messageId=f"m-{number}"))).decode()
        body = orjson.dumps({"requestId": f"r-{number}", "timestamp": 1, "records": [{"data": record}]})
        answer = httpx.post(
            f"{watched.url}/webhooks/firehose/", content=body, headers=firehose_headers(f"r-{number}"), timeout=20
        )
        assert answer.status_code == 200
        assert Inbox.objects.count() == number + 1


def test_each_service_that_goes_or_hangs_is_told_alone_and_comes_back(watched: Watched) -> None:
    fine = (200, "ok", dict.fromkeys(SERVICES, "ok"))
    assert wait_for(lambda: watched.states() == fine, seconds=PATIENCE_SECONDS, every=0.2)

    for name, way in watched.ways.items():
        status, state = (503, "unavailable") if name == "database" else (200, "degraded")
        without = (status, state, {**dict.fromkeys(SERVICES, "ok"), name: "down"})
        for harm in (way.shut, way.swallow):
            harm()
            assert wait_for(lambda: watched.states() == without, seconds=PATIENCE_SECONDS, every=0.2), (  # noqa: B023
                name,
                harm.__name__,
                watched.states(),
            )
            assert httpx.get(f"{watched.url}/health/live", timeout=LONGEST_SECONDS).status_code == 200
            is_up = int(name != "database")
            assert wait_for(
                lambda: f"amazonsender_database_up {is_up}.0" in watched.figures(),  # noqa: B023
                seconds=PATIENCE_SECONDS,
                every=0.2,
            )
            way.open()
            assert wait_for(lambda: watched.states() == fine, seconds=PATIENCE_SECONDS, every=0.2), (
                name,
                watched.states(),
            )

    assert wait_for(lambda: "amazonsender_database_up 1.0" in watched.figures(), seconds=PATIENCE_SECONDS, every=0.2)
