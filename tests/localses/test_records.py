from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from localses.app import create_app
from localses.config import Config, Settings
from tests.localses.conftest import bulk, entry
from tests.localses.running import Running, wait_until


def send(running: Running, count: int) -> None:
    entries = [
        entry(f"p{number}@example.org", ReplacementTags=[{"Name": "m", "Value": f"m{number}"}])
        for number in range(count)
    ]
    running.client("sesv2").send_bulk_email(**bulk(entries))


def test_the_record_is_read_in_pages(running: Running) -> None:
    send(running, 5)

    first = running.get("/_localses/messages?limit=2").json()
    second = running.get(f"/_localses/messages?limit=2&after={first['next']}").json()
    third = running.get(f"/_localses/messages?limit=2&after={second['next']}").json()

    pages = [[item["tags"]["m"] for item in page["messages"]] for page in (first, second, third)]
    assert pages == [["m0", "m1"], ["m2", "m3"], ["m4"]]
    assert third["next"] is None


def test_numbers_go_on_after_a_fresh_start(running: Running) -> None:
    send(running, 2)
    running.settle()
    last = running.records()[-1]["id"]

    assert httpx.delete(f"{running.url}/_localses/messages").status_code == 204

    assert running.stats() == {
        "accepted": 0,
        "unanswered": 0,
        "outcomes": {},
        "duplicates": 0,
        "duplicate_examples": [],
        "events_pending": 0,
        "posts_waiting": 0,
    }
    assert running.client("sesv2").get_account()["SendQuota"]["SentLast24Hours"] == 0
    send(running, 1)
    assert running.records()[0]["id"] == last + 1


def test_totals_come_by_outcome(running: Running) -> None:
    send(running, 3)
    running.client("sesv2").send_bulk_email(**bulk([entry("bounce@simulator.amazonses.com")]))

    stats = running.stats()

    assert (stats["accepted"], stats["outcomes"], stats["duplicates"]) == (4, {"bounced": 1, "delivered": 3}, 0)
    wait_until(lambda: running.stats()["events_pending"] == 0)


@pytest.mark.parametrize("query", ["after=x", "limit=many"])
def test_a_page_that_is_no_number_is_refused(running: Running, query: str) -> None:
    assert running.get(f"/_localses/messages?{query}").status_code == 400


def test_settings_are_shown_and_changed(running: Running) -> None:
    changed = running.settings(bounce_rate=0.25, max_send_rate=7)

    assert (changed["bounce_rate"], changed["max_send_rate"]) == (0.25, 7.0)
    assert running.get("/_localses/settings").json() == changed
    assert running.client("sesv2").get_account()["SendQuota"]["MaxSendRate"] == 7.0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"bounce_rate": 2}', "application/json", 400),
        (b'{"unknown": 2}', "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"bounce_rate": 1}', "text/plain", 415),
    ],
)
def test_wrong_settings_are_refused(running: Running, body: bytes, kind: str, status: int) -> None:
    answer = httpx.post(f"{running.url}/_localses/settings", content=body, headers={"content-type": kind})

    assert answer.status_code == status
    assert answer.json()["error"]
    assert running.get("/_localses/settings").json()["bounce_rate"] == 0.0


def test_latency_delays_the_answer(running: Running) -> None:
    running.settings(latency_ms=300)

    begun = time.monotonic()
    running.client("sesv2").get_account()

    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize("path", ["settings", "faults", "messages", "stats"])
def test_control_is_for_this_machine_only(tmp_path: Path, path: str) -> None:
    app = create_app(Config.from_environment({"LOCALSES_DATA": str(tmp_path)}), Settings())

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localses") as client:
            return await client.get(f"/_localses/{path}")

    # In a thread of its own: a browser test before this one leaves its loop running in the main thread.
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asyncio.run, ask()).result()

    assert (answer.status_code, answer.json()) == (403, {"error": "Only from this machine."})


def test_health_answers(running: Running) -> None:
    assert running.get("/health").json() == {"status": "ok"}
