from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localses.envelopes import Post
from localses.posting import Poster
from tests.localses.running import Subscriber, free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def post(url: str) -> Post:
    return Post(url, {"Content-Type": "text/plain"}, b"hello")


@pytest.mark.parametrize(
    ("status", "final"), [(200, True), (204, True), (302, True), (403, True), (404, True), (500, False), (503, False)]
)
def test_only_server_errors_are_to_be_tried_again(listener: Subscriber, status: int, final: bool) -> None:
    listener.status = status

    assert Poster().deliver(post(f"{listener.url}/sns?secret=1")) is final
    assert [(method, path, body) for method, path, _, body in listener.requests] == [
        ("POST", "/sns?secret=1", b"hello")
    ]


def test_silence_is_to_be_tried_again() -> None:
    assert Poster().deliver(post(f"http://127.0.0.1:{free_port()}/")) is False


def test_an_endpoint_without_tls_behind_https_is_to_be_tried_again(listener: Subscriber) -> None:
    assert Poster().deliver(post(listener.url.replace("http:", "https:"))) is False


@contextmanager
def one_answer_per_connection(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer once on each connection and close it, without having said so."""
    seen: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"hello" not in data:
                    data += connection.recv(65536)
                seen.append(data)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/", seen
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    poster = Poster()

    with one_answer_per_connection(OK) as (url, seen):
        assert [poster.deliver(post(url)) for _ in range(3)] == [True, True, True]

    assert len(seen) == 3


def test_a_kept_connection_is_used_again(listener: Subscriber) -> None:
    poster = Poster()

    assert [poster.deliver(post(f"{listener.url}/a")) for _ in range(3)] == [True, True, True]
    assert len(listener.requests) == 3


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut short", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"hello?\r\n\r\n", False),
        (b"", False),
    ],
)
def test_whatever_form_an_answer_has_its_status_counts(answer: bytes, final: bool) -> None:
    poster = Poster()

    with one_answer_per_connection(answer) as (url, seen):
        assert [poster.deliver(post(url)) for _ in range(2)] == [final, final]

    assert len(seen) == 2
