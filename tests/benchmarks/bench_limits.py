"""One account, eight processes: what the provider measures of the rate, the day, throttling, turns and overtaking.

    make bench-limits              the big organization has 200,000 people
    make bench-limits N=1000000

Real Celery workers with the scheduler, production settings, the provider stub as the witness.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks import newsletter
from tests.benchmarks.harness import last_line, say
from tests.benchmarks.installation import installation
from tests.benchmarks.provider_stub import StubProcess

PROCESSES = 8
RATES = (14, 200, 2000)
SECONDS_PER_RATE = 6
DAY = 2000
BIG_RATE = 5000
LETTERS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=int(os.environ.get("N") or 200_000), help="people of the big one")
    options = parser.parse_args()
    with (
        installation("amazonsender_bench_limits", latency_ms=50, ENGINE_SLOTS=str(PROCESSES)) as ours,
        tempfile.TemporaryDirectory() as folder,
    ):
        scene = Scene(ours.stub, options.n)
        with ours.workers(Path(folder) / "celery.log", processes=PROCESSES, seconds=10):
            figures = scene.hold_rates() | scene.hold_day() | scene.throttle() | scene.share()
    last_line(figures)


class Scene:
    """Two organizations that share an account."""

    def __init__(self, stub: StubProcess, big: int) -> None:
        from delivery.models import AccountGrant
        from delivery.services.compiling import compile_and_store
        from tests.benchmarks.audience import make_account, make_organization, make_people

        self.stub = stub
        self.big, self.small = make_organization(), make_organization()
        self.account = make_account(self.big, calls_in_flight=8)
        AccountGrant.objects.create(account=self.account, organization=self.small)
        self.many = make_people(self.big, big)
        self.people = big
        self.few = make_people(self.small, 100)
        self.compiled = {
            organization: compile_and_store(organization=organization, source=newsletter.newsletter())
            for organization in (self.big, self.small)
        }

    def hold_rates(self) -> dict[str, object]:
        """The busiest sliding second at several rates, as a share of the rate."""
        figures: dict[str, object] = {}
        for rate in RATES:
            self.prepare(rate)
            mailout = self.launch(self.big, self.many, f"rate {rate}")
            self.wait_for(lambda: self.stub.stats()["recipients"] > 0, "the first email")
            time.sleep(SECONDS_PER_RATE)
            stats = self.stub.stats()
            self.cancel(mailout)
            busiest = stats["busiest_second"] / rate
            mean = stats["recipients"] / (stats["last_at"] - stats["first_at"]) / rate
            say(
                f"{rate:>5} emails/s: busiest second {busiest:.3f}, mean {mean:.3f} of the rate, {stats['throttled']} throttled"
            )
            figures |= {f"busiest_share_at_{rate}": round(busiest, 3), f"mean_share_at_{rate}": round(mean, 3)}
        return figures

    def hold_day(self) -> dict[str, object]:
        """Stop at the day's quota, and go on by itself when the day has room again."""
        from django.db import connection

        self.prepare(1000, day_limit=DAY)
        mailout = self.launch(self.big, self.many, "day")
        self.wait_for(lambda: self.stub.stats()["recipients"] >= DAY * 98 // 100, "a used up day")
        time.sleep(2)
        used = self.stub.stats()["recipients"]
        self.stub.reset()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE delivery_account_usage SET minute = minute - interval '24 hours'")
        started = time.monotonic()
        self.wait_for(lambda: self.stub.stats()["recipients"] > 0, "the next day")  # the housekeeping of each minute
        seconds = time.monotonic() - started
        self.cancel(mailout)
        say(f"day of {DAY}: {used} sent; went on by itself {seconds:.0f} s after the day had room")
        return {"day_limit": DAY, "day_sent": used, "day_resumed_after_seconds": round(seconds)}

    def throttle(self) -> dict[str, object]:
        """Throttled at a quarter of the rate: how low the factor goes, and how long until nine tenths of the rate."""
        self.prepare(2000)
        mailout = self.launch(self.big, self.many, "throttle")
        self.stub.change(throttle=500)
        time.sleep(8)
        lowest, refused = self.factor(), self.stub.stats()["throttled"]
        self.stub.change(throttle=0)
        started = time.monotonic()
        self.wait_for(lambda: self.factor() >= 0.9 or self.is_over(mailout), "recovery")
        seconds = time.monotonic() - started
        recovered = self.factor()
        self.cancel(mailout)
        say(f"throttled: factor {lowest:.2f} with {refused} calls refused, {recovered:.2f} after {seconds:.0f} s")
        return {
            "throttled_factor": round(lowest, 2),
            "recovered_factor": round(recovered, 2),
            "recovery_seconds": round(seconds),
        }

    def share(self) -> dict[str, object]:
        """A big campaign; then a small organization and letters on their own, while it goes out."""
        from delivery.services.trial import send_test

        self.prepare(BIG_RATE)
        mailout = self.launch(self.big, self.many, "big")
        self.wait_for(lambda: self.stub.stats()["recipients"] > BIG_RATE, "the first second of the big one")
        started = time.monotonic()
        little = self.launch(self.small, self.few, "small")
        queued = {}
        for number in range(LETTERS):
            address = f"letter{number}@example.com"
            queued[address] = time.time()
            send_test(
                organization=self.big, account=self.account, compiled=self.compiled[self.big], recipients=[address],
                preview_subscriber=None, name="Letter", sender=newsletter.SENDER,
            )  # fmt: skip
            time.sleep(0.3)
        self.wait_for(lambda: self.is_over(little), "the small organization")
        seconds = time.monotonic() - started
        self.wait_for(lambda: set(queued) <= set(self.stub.stats()["singles"]), "every letter")
        stats = self.stub.stats()
        waits = sorted((stats["singles"][address] - at) * 1000 for address, at in queued.items())
        left = self.waiting(mailout)
        self.cancel(mailout)
        if not left:
            sys.exit("FAILED: the big campaign was over before the others; more people, please (N=)")
        busiest = stats["busiest_second"] / BIG_RATE
        say(
            f"beside {left:,} who still waited: the small organization's 100 after {seconds:.1f} s, letters after "
            f"{waits[len(waits) // 2]:.0f} ms (median), {waits[-1]:.0f} ms (longest); busiest second {busiest:.3f} of the rate"
        )
        return {
            "big_people": self.people, "small_organization_seconds": round(seconds, 1),
            "overtake_median_ms": round(waits[len(waits) // 2]), "overtake_longest_ms": round(waits[-1]),
            f"busiest_share_at_{BIG_RATE}": round(busiest, 3), "processes": PROCESSES,
        }  # fmt: skip

    def prepare(self, rate: float, *, day_limit: int = 2**53) -> None:
        """The account's limits, as housekeeping takes them over from the provider, and a clean record."""
        from delivery.models import AccountPace, AccountUsage

        AccountUsage.objects.all().delete()
        AccountPace.objects.update(max_rate=rate, factor=1.0, day_used=0, day_limit=day_limit, parked_reason="")
        self.stub.change(max_send_rate=rate, max_24_hour_send=day_limit if day_limit < 2**53 else -1, throttle=0)
        self.stub.reset()

    def launch(self, organization: Any, chosen: Any, name: str) -> Any:
        from tests.benchmarks.mailouts import launch

        return launch(
            organization=organization,
            account=self.account,
            people=chosen,
            compiled=self.compiled[organization],
            label=name,
        )

    def cancel(self, mailout: Any) -> None:
        from amazonsender.core.errors import Conflict
        from delivery.services.controlling import cancel_mailout

        try:
            cancel_mailout(mailout=mailout)
        except Conflict:
            return
        self.wait_for(lambda: self.is_over(mailout), "the end of a stopped mailout")

    def is_over(self, mailout: Any) -> bool:
        mailout.refresh_from_db(fields=["finished_at"])
        return mailout.finished_at is not None

    def waiting(self, mailout: Any) -> int:
        from delivery.selectors.progress import mailout_progress

        return mailout_progress(mailout).waiting

    def factor(self) -> float:
        from delivery.models import AccountPace

        return AccountPace.objects.get().factor

    def wait_for(self, is_so: Callable[[], bool], what: str, *, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                sys.exit(f"FAILED: waited {seconds:.0f} s for {what}")
            time.sleep(0.1)


if __name__ == "__main__":
    main()
