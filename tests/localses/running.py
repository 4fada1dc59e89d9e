"""Local SES as a real process, and a subscriber that keeps what it is sent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config as BotoConfig

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], *, within: float = 30.0) -> None:
    """Wait for a condition; fail when it doesn't come."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "It didn't happen in time."
        time.sleep(0.02)


@dataclass
class Running:
    """A Local SES process and Amazon's own clients for it."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def client(self, service: str, **options: str) -> Any:
        """Return boto3's client; making one takes longer than most tests, so it is made once."""
        key = (service, repr(sorted(options.items())))
        if key not in self.clients:
            self.clients[key] = self._client(service, **options)
        return self.clients[key]

    def _client(self, service: str, **options: str) -> Any:
        session: Any = boto3.Session()  # untyped on purpose: the service is only known when the test runs
        given = {"aws_access_key_id": "localses", "aws_secret_access_key": "localses-secret", **options}
        config = BotoConfig(retries={"total_max_attempts": 1, "mode": "standard"})
        return session.client(service, endpoint_url=self.url, region_name="us-east-1", config=config, **given)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(self.url + path)

    def settings(self, **values: object) -> Json:
        answer = self.http.post(f"{self.url}/_localses/settings", json=values)
        assert answer.status_code == 200, answer.text
        settings: Json = answer.json()
        return settings

    def faults(self, *faults: Json) -> list[Json]:
        """Set these faults and no others."""
        answer = self.http.put(f"{self.url}/_localses/faults", json={"faults": faults})
        assert answer.status_code == 200, answer.text
        listed: list[Json] = answer.json()["faults"]
        return listed

    def fired(self) -> dict[str, int]:
        """Return by name how often each fault that is set has fired."""
        return {fault["name"]: fault["fired"] for fault in self.get("/_localses/faults").json()["faults"]}

    def stats(self) -> Json:
        stats: Json = self.get("/_localses/stats").json()
        return stats

    def settle(self) -> None:
        """Wait until everything that was to happen has happened."""
        wait_until(lambda: self.stats()["events_pending"] == 0 == self.stats()["posts_waiting"])

    def records(self) -> list[Json]:
        messages: list[Json] = self.get("/_localses/messages?limit=10000").json()["messages"]
        return messages


def start(data: Path, port: int, **environment: str) -> Running:
    """Start Local SES and wait until it answers."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LOCALSES_", "AWS_"))}
    given = {"LOCALSES_DATA": str(data), "LOCALSES_PORT": str(port), "LOCALSES_SPREAD_SECONDS": "0", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "localses"], cwd=ROOT, env={**clean, **given}, stdout=subprocess.DEVNULL
    )
    running = Running(f"http://127.0.0.1:{port}", data, process)

    def answers() -> bool:
        assert process.poll() is None, "Local SES ended at once."
        try:
            return running.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers)
    return running


def stop(running: Running, how: int = signal.SIGTERM) -> None:
    """End the process, gently or not."""
    running.process.send_signal(how)
    running.process.wait(30)
    running.http.close()


@dataclass
class Subscriber:
    """An HTTP server that keeps every request and answers what the test wants."""

    url: str = ""
    status: int = 200
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def envelopes(self) -> list[Json]:
        """Return the SNS messages that came to /sns."""
        return [json.loads(body) for _, path, _, body in list(self.requests) if path == "/sns"]

    def events(self) -> list[Json]:
        """Return the SES events among them."""
        texts = [envelope["Message"] for envelope in self.envelopes() if envelope["Type"] == "Notification"]
        return [json.loads(text) for text in texts if text.startswith("{")]

    def of_type(self, name: str) -> list[Json]:
        return [event for event in self.events() if event["eventType"] == name]

    def paths(self) -> list[tuple[str, str, str]]:
        """Return (method, path, user agent) of everything that isn't SNS."""
        return [(method, path, headers["user-agent"]) for method, path, headers, _ in self.requests if path != "/sns"]


@contextmanager
def subscriber() -> Iterator[Subscriber]:
    """Run a subscriber on a free port."""
    kept = Subscriber()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _keep(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.requests.append((self.command, self.path, headers, body))
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST = _keep  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def subscribe(running: Running, to: Subscriber, *kinds: str, version: str = "2", name: str = "events") -> str:
    """Make a topic, subscribe and confirm, and send a configuration set's events there; return the topic's ARN."""
    sns, ses = running.client("sns"), running.client("sesv2")
    arn: str = sns.create_topic(Name=name, Attributes={"SignatureVersion": version})["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"{to.url}/sns")
    wait_until(lambda: [e for e in to.envelopes() if e["TopicArn"] == arn])
    [token] = [e["Token"] for e in to.envelopes() if e["TopicArn"] == arn]
    sns.confirm_subscription(TopicArn=arn, Token=token, AuthenticateOnUnsubscribe="true")
    ses.create_configuration_set(ConfigurationSetName=name)
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestinationName="sns",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": list(kinds),
            "SnsDestination": {"TopicArn": arn},
        },
    )
    return arn
