"""Asking DNS: in parallel, with deadlines, by servers of choice; whatever comes back is bounded and printable."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import dns.exception
import dns.name
import dns.nameserver
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

MOST_VALUES: Final = 100  # a domain's own TXT records are many, and its SPF may be the last of them
LONGEST_VALUE: Final = 2048
WORKERS: Final = 8
DNS_PORT: Final = 53
STAND_IN: Final = "\N{REPLACEMENT CHARACTER}"


class State(StrEnum):
    """How a question was answered."""

    FOUND = "found"
    NOTHING = "nothing"  # the name, or this type of it, is not there
    FAILED = "failed"  # the servers refuse, fail or answer nonsense: nothing is known
    LATE = "late"  # nobody answered in time: nothing is known


class Question(NamedTuple):
    """kind: TXT, CNAME, MX, A or AAAA."""

    name: str
    kind: str


class Answer(NamedTuple):
    """values: as text, printable and cut; MX as "10 host", names in lower case without their last dot."""

    state: State
    values: tuple[str, ...] = ()


class Resolver(Protocol):
    """Somebody who knows DNS. Never raises; may be asked by several threads at once."""

    def ask(self, question: Question) -> Answer: ...


class ServerError(ValueError):
    """Something that is no address of a DNS server."""


def parse_server(text: str) -> tuple[str, int]:
    """Read `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`. Raises ServerError."""
    host, port = text, str(DNS_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ServerError(f"{text!r} is no IP address, with or without a port") from None
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ServerError(f"{text!r} has no port between 1 and 65535")
    return str(address), int(port)


def are_loopback(servers: Sequence[str]) -> bool:
    """Say whether servers are named and all of them are this machine's own."""
    try:
        return bool(servers) and all(ipaddress.ip_address(parse_server(one)[0]).is_loopback for one in servers)
    except ServerError:
        return False


class DnsResolver:
    """Asks the named servers, or those of the system. timeout_seconds: of one try; lifetime_seconds: of one question."""

    def __init__(
        self, servers: Sequence[str] = (), *, timeout_seconds: float = 2.0, lifetime_seconds: float = 4.0
    ) -> None:
        """Raises ServerError for what is no address; a machine without DNS settings answers every question FAILED."""
        self._resolver: dns.resolver.Resolver | None
        try:
            self._resolver = dns.resolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:
            self._resolver = None
            return
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*parse_server(one)) for one in servers]
        self._resolver.timeout = timeout_seconds
        self._resolver.lifetime = lifetime_seconds

    def ask(self, question: Question) -> Answer:
        """Look one name up. The name is taken as it is: the system's search list adds nothing."""
        if self._resolver is None:
            return Answer(State.FAILED)
        try:
            name = dns.name.from_text(question.name, origin=dns.name.root)
            found = self._resolver.resolve(name, question.kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Answer(State.NOTHING)
        except dns.exception.Timeout:
            return Answer(State.LATE)
        except (dns.exception.DNSException, OSError, ValueError):
            return Answer(State.FAILED)
        values = sorted(_text(row) for row in list(found)[:MOST_VALUES])
        return Answer(State.FOUND, tuple(values))


def _text(row: dns.rdata.Rdata) -> str:
    """A record as people write it. The strings of a TXT are one text, wherever they were split."""
    if isinstance(row, TXT):
        text = b"".join(row.strings).decode("utf-8", "replace")
    elif isinstance(row, MX):
        text = f"{row.preference} {_name(row.exchange)}"
    elif isinstance(row, CNAME):
        text = _name(row.target)
    else:
        text = row.to_text()
    return "".join(one if one.isprintable() else STAND_IN for one in text[:LONGEST_VALUE])


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


class Lookups:
    """The questions of one check, each asked once, until a deadline; after it everything is LATE."""

    def __init__(
        self, resolver: Resolver, *, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._ends_at = clock() + seconds
        self.answers: dict[Question, Answer] = {}

    def ask(self, name: str, kind: str) -> Answer:
        """Ask one question."""
        question = Question(name, kind)
        if question not in self.answers:
            self.ask_all([question])
        return self.answers[question]

    def ask_all(self, questions: Iterable[Question]) -> None:
        """Ask several at once; those not answered by the deadline are LATE."""
        new = [question for question in dict.fromkeys(questions) if question not in self.answers]
        left = self._ends_at - self._clock()
        if left <= 0:
            self.answers |= dict.fromkeys(new, Answer(State.LATE))
            return
        # Not a `with` block, which would wait for those that are late. Each ends by itself within its lifetime.
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="dns")
        asked = {question: pool.submit(self._resolver.ask, question) for question in new}
        wait(asked.values(), timeout=left)
        pool.shutdown(wait=False, cancel_futures=True)
        for question, future in asked.items():
            is_in_time = future.done() and not future.cancelled()
            self.answers[question] = future.result() if is_in_time else Answer(State.LATE)
