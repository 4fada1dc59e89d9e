"""A DNS server on loopback, over UDP and TCP, that answers from a small zone and misbehaves on demand."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Misbehaviour = Callable[[dns.message.Message], bytes | None]


class NameServer:
    """Records are kept as (name, kind) and texts in the zone's own form. A name's misbehaviour answers all its kinds."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.misbehaving: dict[str, Misbehaviour] = {}
        self.asked: list[tuple[str, str]] = []
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, kind: str, *values: str) -> None:
        """Set the records of a name; TXT values are given bare and quoted here, longer ones in several strings."""
        self.zone[name.lower(), kind] = [_quoted(value) if kind == "TXT" else value for value in values]

    def stop(self) -> None:
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        with suppress(OSError):
            while True:
                data, peer = self._udp.recvfrom(4096)
                answer = self._answer(data)
                if answer is not None and len(answer) > 512:
                    short = dns.message.make_response(dns.message.from_wire(data))
                    short.flags |= dns.flags.TC
                    answer = short.to_wire()
                if answer is not None:
                    self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        with suppress(OSError):
            while True:
                connection, _peer = self._tcp.accept()
                with connection, suppress(OSError, struct.error):
                    (size,) = struct.unpack("!H", connection.recv(2))
                    answer = self._answer(connection.recv(size))
                    if answer is not None:
                        connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name in self.misbehaving:
            return self.misbehaving[name](query)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        while kind != "CNAME" and (name, "CNAME") in self.zone:
            rows = self.zone[name, "CNAME"]
            response.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", "CNAME", rows))
            name = rows[0].rstrip(".").lower()
        if (name, kind) in self.zone:
            response.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, self.zone[name, kind]))
        elif not any(known == name for known, _kind in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire(max_size=65535)


def _quoted(text: str) -> str:
    data = text.encode()
    parts = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, part))}"' for part in parts)


def _escaped(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}"


def servfail(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


def silence(query: dns.message.Message) -> None:
    return None


def garbage(query: dns.message.Message) -> bytes:
    return query.to_wire()[:2] + b"\x81\x80" + b"\xff" * 40


def loop(query: dns.message.Message) -> bytes:
    """A name that is another name for itself."""
    response = dns.message.make_response(query)
    name = query.question[0].name.to_text()
    response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", f"x.{name}"))
    response.answer.append(dns.rrset.from_text(f"x.{name}", 60, "IN", "CNAME", name))
    return response.to_wire()


def wrong_type(query: dns.message.Message) -> bytes:
    """An answer to something that was not asked."""
    response = dns.message.make_response(query)
    name = query.question[0].name.to_text()
    response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.1"))
    return response.to_wire()


@contextmanager
def running() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.stop()
