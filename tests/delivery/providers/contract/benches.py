"""Every provider that keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

from tests.delivery.providers.contract.anymail_benches import ANYMAIL_BENCHES
from tests.delivery.providers.contract.bench import Bench
from tests.delivery.providers.contract.ses_bench import SesBench
from tests.delivery.providers.contract.smtp_bench import SmtpBench

BENCHES: dict[str, Callable[[], Bench]] = {
    "ses": SesBench,
    "smtp": SmtpBench,
    "smtp-plain": lambda: SmtpBench(("AUTH PLAIN",)),
    **ANYMAIL_BENCHES,
}
