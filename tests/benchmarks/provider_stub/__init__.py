"""A stand-in for SES in benchmarks: a process of its own that answers fast and believes nothing.

It checks every signature, counts recipients by their message tag and adds up a digest of what each would have read,
so that a benchmark can compare the ledger with a witness. Run it with `python -m tests.benchmarks.provider_stub`, or
from a benchmark with `StubProcess`.
"""

from tests.benchmarks.provider_stub.process import StubProcess
from tests.benchmarks.provider_stub.record import entry_digest

__all__ = ["StubProcess", "entry_digest"]
