"""Reading HTTP answers in every shape that a server or a proxy between may send them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from delivery.providers.ses import answers
from delivery.providers.ses.answers import Answer, BrokenAnswerError, read_answer

Read = Callable[[bytes], tuple[Answer, bool]]


@pytest.fixture
def read() -> Iterator[Read]:
    ours, theirs = socket.socketpair()

    def run(data: bytes) -> tuple[Answer, bool]:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        ours.settimeout(2)
        return read_answer(ours, 2.0)

    yield run
    ours.close()
    theirs.close()


def test_a_plain_answer_leaves_the_connection_usable(read: Read) -> None:
    data = b"HTTP/1.1 400 Bad Request\r\nX-Amzn-ErrorType:  MessageRejected:http://x \r\ncontent-LENGTH: 2\r\n\r\n{}"

    assert read(data) == (Answer(400, "MessageRejected:http://x", b"{}"), True)


@pytest.mark.parametrize(
    ("data", "body", "reusable"),
    [
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", b"x", False),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            b"x",
            True,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n",
            b"abc0123456789",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: y\r\n\r\n", b"x", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, b"x" * 200_000, True),
    ],
)
def test_an_answer_is_read_whole(read: Read, data: bytes, body: bytes, reusable: bool) -> None:
    answer, may_be_used_again = read(data)

    assert answer.body == body
    assert may_be_used_again is reusable


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "closed without a whole answer"),
        (b"HTTP/1.1 200 OK\r\n", "closed without a whole answer"),
        (b"HTTP/2 200\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 20\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header line without a colon"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx", "the connection ended 2 bytes before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", "length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx", "length is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4000001\r\n\r\nx", "an answer longer than 4000000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "transfer encoding that was not asked for"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "length is not a number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n", "a chunk that is longer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n", "closed without a whole answer"),
    ],
)
def test_what_is_no_whole_answer_is_broken(read: Read, data: bytes, message: str) -> None:
    with pytest.raises(BrokenAnswerError, match=message):
        read(data)


def test_a_head_without_an_end_is_not_read_for_ever(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_HEAD_BYTES", 100)

    with pytest.raises(BrokenAnswerError, match="the head of the answer does not end"):
        read(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_without_an_end_is_not_read_for_ever(read: Read, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(answers, "MAX_BODY_BYTES", 5)

    with pytest.raises(BrokenAnswerError, match="an answer longer than 5 bytes"):
        read(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n")


def drip(connection: socket.socket, pause_seconds: float) -> threading.Thread:
    """Send an answer a byte at a time."""

    def run() -> None:
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
                connection.sendall(bytes([byte]))
                time.sleep(pause_seconds)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_answer_in_pieces_leaves_the_sockets_own_time_limit() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    thread = drip(theirs, 0.0001)

    assert read_answer(ours, 5) == (Answer(200, "", b""), True)

    assert ours.gettimeout() == 5
    thread.join()
    ours.close()
    theirs.close()


def test_all_pieces_of_an_answer_share_one_time_limit() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0.2)
    thread = drip(theirs, 0.05)  # 39 bytes: two seconds, though no wait is longer than the limit

    with pytest.raises(TimeoutError):
        read_answer(ours, 0.2)

    ours.close()
    theirs.close()
    thread.join()


def test_a_limit_reached_between_two_pieces_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 ")
    moments = iter([100.0, 102.0])
    monkeypatch.setattr("delivery.providers.ses.answers.monotonic", lambda: next(moments))

    with pytest.raises(TimeoutError):
        read_answer(ours, 2)

    ours.close()
    theirs.close()
