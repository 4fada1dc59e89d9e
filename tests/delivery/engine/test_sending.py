from __future__ import annotations

from collections import Counter
from time import monotonic

from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import AccountPace, Message, MessageBatch, MessageState, SendCall
from delivery.providers.base import CallResult, Entry
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services.trial import send_test
from tests.delivery.engine.world import HeldRunner, World


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
    held.arm(raw)
    grant = held.runner._grant
    armed_at = monotonic()
    held.come_back(1)

    assert grant is not None
    assert armed_at - 0.05 < grant.starts_at <= left_at[0]
