from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from amazonsender import bodies
from amazonsender.bodies import MIB, WholeBodies, largest_body
from amazonsender.core.slow_senders import Caller, SlowSenders


class Server:
    """What a WSGI server does with one request, and what the application was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.status = ""
        self.headers: dict[str, str] = {}
        self.slow_senders = SlowSenders(1.0, connections=list)
        places = Mock(taken=nullcontext)
        self.application = WholeBodies(self._work, places=places, slow_senders=self.slow_senders)

    def _work(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.seen.append((environ.get("CONTENT_LENGTH", ""), environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return [b"done"]

    def send(self, body: bytes = b"", *, path: str = "/webhooks/ses/", chunked: bool = False, **given: str) -> bytes:
        def start(status: str, headers: list[tuple[str, str]]) -> None:
            self.status, self.headers = status, dict(headers)

        length = {} if chunked else {"CONTENT_LENGTH": str(len(body))}
        environ = {
            "PATH_INFO": path,
            "REMOTE_ADDR": "203.0.113.9",
            "SERVER_PORT": "8000",
            "wsgi.input": io.BytesIO(body),
            **({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True} if chunked else length),
            **given,
        }
        return b"".join(self.application(environ, start))


def test_a_body_is_there_whole_before_anything_runs() -> None:
    server = Server()

    assert server.send(b"x" * 1000) == b"done"
    assert server.send(b"y" * (2 * MIB)) == b"done"
    assert server.send(b"z" * (2 * MIB), chunked=True) == b"done"
    assert server.send() == b"done"

    assert [(length, len(body)) for length, body in server.seen] == [
        ("1000", 1000),
        (str(2 * MIB), 2 * MIB),
        (str(2 * MIB), 2 * MIB),
        ("0", 0),
    ]


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_a_body_that_breaks_off_is_looked_at_by_nobody(size: int) -> None:
    server = Server()

    answer = server.send(b"x" * (size - 1), CONTENT_LENGTH=str(size))

    assert (server.status, server.headers["Connection"]) == ("408 Request Timeout", "close")
    assert answer == b"The body broke off, or came too slowly.\n"
    assert server.seen == []


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, chunked: bool) -> None:
    monkeypatch.setattr(bodies, "LARGEST", {"/webhooks/": 100})
    server = Server()

    assert server.send(b"x" * 100, chunked=chunked) == b"done"
    assert server.send(b"x" * 101, chunked=chunked) == b"The body is larger than 100 bytes.\n"

    assert server.status == "413 Request Entity Too Large"
    assert len(server.seen) == 1


@pytest.mark.parametrize("length", ["ten", "-1", "١٠", "1e3"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    server = Server()

    server.send(b"x", CONTENT_LENGTH=length)

    assert (server.status[:3], server.seen) == ("400", [])


def test_programs_get_problem_details() -> None:
    server = Server()

    answer = orjson.loads(server.send(b"x", path="/api/v1/lists", CONTENT_LENGTH=str(4 * MIB)))

    assert (answer["status"], server.headers["Content-Type"]) == (413, "application/problem+json")


def test_files_of_people_may_be_large_and_hardly_anything_else() -> None:
    assert largest_body("/admin/subscribers/import/") > 5 * 1024 * MIB
    assert largest_body("/webhooks/firehose") == 16 * MIB
    assert largest_body("/api/v1/campaigns") == largest_body("/u/token") == largest_body("") == 3 * MIB


def test_chunks_count_only_where_the_server_says_that_they_end() -> None:
    server = Server()

    server.send(b"x", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    assert server.seen == [("", b"x")]  # untouched: this reading is the application's


def test_with_too_many_bodies_on_their_way_the_next_is_to_come_again_and_the_rest_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "MOST_AWAITED", 1)
    server = Server()

    with server.slow_senders.awaiting(Caller("198.51.100.1", "8000")):
        server.send(b"x")
        refused = server.status, server.headers["Retry-After"]
        server.send()

    assert refused == ("503 Service Unavailable", "5")
    assert (server.status, len(server.seen)) == ("200 OK", 1)
