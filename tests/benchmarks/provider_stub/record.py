"""What the stub remembers of the calls that it accepted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import orjson

from tests.benchmarks.provider_stub.calls import quoted_json

BINS_PER_SECOND = 100
SINGLES_KEPT = 1000
DIGEST_MODULUS = 1 << 64


def entry_digest(address: str, data: str) -> int:
    """Digest of one recipient: its address and its template data as JSON. `values_digest` is their sum modulo 2⁶⁴."""
    return crc32(quoted_json(data), crc32(quoted_json(address)))


@dataclass(slots=True)
class Record:
    """Counts since the last reset. Recipients are told apart by the hash of their tag, and people by that of the address.

    sampled_values, empty_values: slots of one recipient per call, and how many of them were empty. singles: when a call
    of one recipient came, Unix seconds by address, for the first thousand, so that a letter on its own can be told apart from a campaign.
    """

    calls: int = 0
    recipients: int = 0
    wire_bytes: int = 0
    values_digest: int = 0
    sampled_values: int = 0
    empty_values: int = 0
    bad_signatures: int = 0
    malformed: int = 0
    throttled: int = 0
    errors: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    seen: set[int] = field(default_factory=set)
    people: set[int] = field(default_factory=set)
    bins: Counter[int] = field(default_factory=Counter)
    singles: dict[str, float] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    started_cpu: float = field(default_factory=time.process_time)

    def accept(self, addresses: Sequence[bytes], data: Sequence[bytes], tags: Sequence[bytes], size: int) -> None:
        """Count one accepted call of `size` bytes, head included. `data` is empty for emails that come whole."""
        self.calls += 1
        self.recipients += len(tags)
        self.wire_bytes += size
        self.seen.update(map(hash, tags))
        self.people.update(map(hash, addresses))
        now = time.time()
        self.bins[int(now * BINS_PER_SECOND)] += len(tags)
        if len(tags) == 1 and len(self.singles) < SINGLES_KEPT:
            self.singles[addresses[0].decode()] = now
        if not data:
            return
        self.values_digest = (self.values_digest + sum(map(crc32, data, map(crc32, addresses)))) % DIGEST_MODULUS
        # Looking for empty slots in each recipient's data would cost three times its digest: one per call, in turn.
        values = orjson.loads(orjson.loads(b'"%b"' % data[self.calls % len(data)])).values()
        self.sampled_values += len(values)
        self.empty_values += sum(1 for value in values if not value)

    def accepted(self, addresses: Sequence[str]) -> list[str]:
        """Those of the addresses that an email was accepted for."""
        return [address for address in addresses if hash(quoted_json(address)) in self.people]

    def begin(self) -> None:
        """Count a request that has begun to arrive."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def stats(self) -> dict[str, object]:
        """Everything, ready for JSON. cpu_seconds is the stub's own since the reset."""
        per_second: Counter[int] = Counter()
        for moment, count in self.bins.items():
            per_second[moment // BINS_PER_SECOND] += count
        return {
            "calls": self.calls,
            "recipients": self.recipients,
            "distinct": len(self.seen),
            "people": len(self.people),
            "duplicates": self.recipients - len(self.seen),
            "bytes": self.wire_bytes,
            "values_digest": self.values_digest,
            "sampled_values": self.sampled_values,
            "empty_values": self.empty_values,
            "bad_signatures": self.bad_signatures,
            "malformed": self.malformed,
            "throttled": self.throttled,
            "errors": self.errors,
            "max_in_flight": self.max_in_flight,
            "per_second": [[second, per_second[second]] for second in sorted(per_second)],
            "busiest_second": self._busiest_second(),
            "first_at": min(self.bins) / BINS_PER_SECOND if self.bins else None,
            "last_at": max(self.bins) / BINS_PER_SECOND if self.bins else None,
            "singles": self.singles,
            "cpu_seconds": time.process_time() - self.started_cpu,
        }

    def _busiest_second(self) -> int:
        """Most recipients in any sliding second, to a hundredth."""
        busiest = window = 0
        moments = sorted(self.bins)
        oldest = 0
        for moment in moments:
            window += self.bins[moment]
            while moments[oldest] <= moment - BINS_PER_SECOND:
                window -= self.bins[moments[oldest]]
                oldest += 1
            busiest = max(busiest, window)
        return busiest
