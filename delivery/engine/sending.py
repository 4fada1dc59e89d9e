"""Hand armed calls to the provider, outside any transaction, in threads that never touch the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from queue import PriorityQueue, SimpleQueue
from time import monotonic, sleep

import structlog

from amazonsender.core import figures, tracing
from delivery.engine.calls import Call
from delivery.providers.base import CallResult, EntryResult, Outcome, Provider

logger = structlog.get_logger(__name__)

START_WITHIN_SECONDS = 10.0  # an armed call that starts later may have been given up by the reaper
FAST_CALL_SECONDS = 0.005  # below it the processor is what limits, and more threads only switch
FAST_THREADS = 2
LAST = 1 << 15  # behind every lane


class Sender:
    """Threads that send one account's calls, earlier lanes first, and put each with its result into `results`.

    A call older than START_WITHIN_SECONDS comes back with `result` None: it was not sent, for certain.
    """

    def __init__(
        self, provider: Provider, results: SimpleQueue[Call], *, threads: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self.provider = provider
        self.limit = max(1, threads)
        self._results = results
        self._clock = clock
        # A transactional call goes before a dozen of a campaign that wait for a thread at a slow provider.
        self._queue: PriorityQueue[tuple[int, int, Call | None]] = PriorityQueue()
        self._numbers = count()
        self._threads: list[threading.Thread] = []
        self._shares = tracing.Shares()
        self._seconds = 0.0  # moving average of a call's duration

    def submit(self, calls: list[Call]) -> None:
        """Hand over armed calls of one batch."""
        if calls:
            batch = calls[0].batch
            batch.calls_parent = self._shares.parent(batch.traceparent, "slice", {"mailout": batch.mailout_id})
        for call in calls:
            self._queue.put((call.batch.lane, next(self._numbers), call))
        wanted = min(self.limit, FAST_THREADS) if self._seconds < FAST_CALL_SECONDS else self.limit
        while len(self._threads) < min(wanted, len(self._threads) + self._queue.qsize()):
            thread = threading.Thread(target=self._run, name=f"send-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def end_slice(self) -> None:
        """Nothing of this slice is on its way any more."""
        self._shares.end()

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put((LAST, next(self._numbers), None))
        for thread in self._threads:
            thread.join(timeout=1)
        self._threads.clear()

    def _run(self) -> None:
        while (call := self._queue.get()[2]) is not None:
            if (early := call.not_before - self._clock()) > 0:
                sleep(early)
            if self._clock() - call.armed_at > START_WITHIN_SECONDS:
                logger.warning("delivery.call_too_old", call=str(call.id), mailout=call.batch.mailout_id)
            else:
                call.result = self._send(call)
                self._tell(call, call.result)
                self._seconds = 0.9 * self._seconds + 0.1 * call.result.seconds
            self._results.put(call)

    def _send(self, call: Call) -> CallResult:
        try:
            return self.provider.send(call.request)
        except Exception as error:
            # An adapter must not raise; if it does, nobody knows what has left.
            logger.exception("delivery.provider_raised", call=str(call.id))
            return CallResult([EntryResult(Outcome.AMBIGUOUS, "", f"internal: {error!r}")] * len(call.people))

    def _tell(self, call: Call, result: CallResult) -> None:
        """One figure and one line for a call: at INFO when it went wrong, so that by default success costs nothing."""
        name, batch, answer = self.provider.name, call.batch, answer_of(result)
        figures.observe_call(name, answer, result.seconds)
        about = {"mailout": batch.mailout_id, "answer": answer, "people": len(call.people), "call": str(call.id)}
        tracing.record_call(batch.calls_parent, f"send {name}", result.seconds, about)
        log = logger.debug if answer == "accepted" else logger.info
        ms = round(result.seconds * 1000, 1)
        who = {"organization": batch.organization_id, "request_id": batch.request_id}
        log("delivery.call", provider=name, ms=ms, **who, **about)


def answer_of(result: CallResult) -> str:
    """A call's answer in one word: its signal, else the outcome of its first entry; the others are not looked at."""
    if result.signal is not None:
        return result.signal.value
    return result.entries[0].outcome.name.lower() if result.entries else "empty"
