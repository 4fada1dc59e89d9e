from __future__ import annotations

from collections import Counter
from time import monotonic

import pytest
from django.utils import timezone
from prometheus_client import CollectorRegistry

from amazonsender.core import figures
from delivery.engine.database import Connection
from delivery.engine.sending import answer_of
from delivery.engine.ticking import tick
from delivery.models import AccountPace, Message, MessageBatch, MessageState, SendCall
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome, Signal
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services.trial import send_test
from subscribers.models import Subscriber
from tests.delivery.engine.world import HeldRunner, World, accept


def states_of(mailout_id: int) -> Counter[int]:
    return Counter(Message.objects.filter(mailout_id=mailout_id).values_list("state", flat=True))


def test_everybody_eligible_is_handed_over_exactly_once_and_the_account_adds_up(world: World, raw: Connection) -> None:
    world.add_people(2345)
    world.add_people(5, start=5000, status="unsubscribed")
    mailout = world.launch()

    world.run()
    tick(raw, slots=2)

    assert states_of(mailout.pk) == {MessageState.SENT: 2345, MessageState.EXCLUDED: 5}
    assert world.provider.handed_over == {f"p{number}@example.com": 1 for number in range(2345)}
    assert SendCall.objects.filter(state=0).count() == 0
    progress = mailout_progress(mailout)
    assert (progress.candidates, progress.sent, progress.excluded, progress.waiting) == (2350, 2345, 5, 0)
    assert progress.state == "finished"
    assert mailout_account(mailout).states["sent"] == 2345
    assert set(MessageBatch.objects.values_list("state", flat=True)) == {2}


def test_a_transactional_call_goes_before_those_of_a_campaign_that_wait_for_a_thread(
    world: World, raw: Connection
) -> None:
    world.add_people(500)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    assert SendCall.objects.count() == 10
    send_test(
        organization=world.organization,
        account=world.account,
        compiled=world.compiled,
        recipients=["urgent@acme.example"],
        preview_subscriber=None,
        name="Test",
        sender="News <news@example.com>",
    )

    held.arm(raw)
    held.come_back(11)

    # one of the campaign's was out, the others waited
    assert [len(call) for call in world.provider.calls] == [50, 1] + [50] * 9
    assert world.provider.calls[1] == ["urgent@acme.example"]


def test_a_call_that_is_armed_before_its_grant_starts_leaves_at_the_start(world: World, raw: Connection) -> None:
    world.add_people(1)
    world.launch()
    AccountPace.objects.update(max_rate=100)
    left_at: list[float] = []
    answer = world.provider.answer

    def note(entries: list[Entry]) -> CallResult:
        left_at.append(monotonic())
        return answer(entries)

    world.provider.answer = note
    held = HeldRunner(world)
    held.gate.set()
    asked_at = monotonic()
    held.arm(raw)
    grant = held.runner._grant
    held.come_back(1)

    assert grant is not None
    assert asked_at + grant.lead <= grant.starts_at <= left_at[0]
    assert grant.lead > 0


def test_figures_tell_calls_by_answer_and_messages_by_outcome(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr(figures, "_figures", figures.Figures(registry))
    rejected = EntryResult(Outcome.REJECTED, "", "bad address")

    def answer(entries: list[Entry]) -> CallResult:
        result = accept(entries)
        return CallResult([rejected, *result.entries[1:]], seconds=0.3) if "p0@example.com" in entries[0] else result

    world.provider.answer = answer
    world.add_people(100)
    world.add_people(2, start=5000)
    world.launch()
    Subscriber.objects.filter(email="p5001@example.com").update(status="unsubscribed", opted_out_at=timezone.now())

    world.run()

    def told(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"amazonsender_{name}", labels)

    assert told("messages_total", outcome="sent") == 100
    assert told("messages_total", outcome="failed") == 1
    assert told("messages_total", outcome="excluded") == 1
    assert told("provider_call_seconds_count", provider="simulated", answer="rejected") == 1
    assert told("provider_call_seconds_count", provider="simulated", answer="accepted") == 2
    assert told("provider_call_seconds_bucket", provider="simulated", answer="rejected", le="0.2") == 0


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (CallResult([EntryResult(Outcome.RETRY, "", "")], signal=Signal.QUOTA_EXCEEDED), "quota_exceeded"),
        (CallResult([EntryResult(Outcome.AMBIGUOUS, "", "")]), "ambiguous"),
        (CallResult([]), "empty"),
    ],
)
def test_an_answer_has_one_word(result: CallResult, word: str) -> None:
    assert answer_of(result) == word
