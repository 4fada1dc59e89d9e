"""Whose turn it is, and who holds what."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from delivery.engine.claiming import (
    Batch,
    accounts_with_due_work,
    claim_batch,
    release_batch,
    renew_lease,
)
from delivery.engine.database import Connection, open_connection
from delivery.models import (
    AccountGrant,
    AccountTurn,
    BatchState,
    Lane,
    Mailout,
    MessageBatch,
    SendingAccount,
)
from delivery.services.trial import send_test
from organizations.models import Organization
from tests.delivery.engine.world import HeldRunner, World, make_world
from tests.factories import AccountFactory, MailoutFactory, OrganizationFactory


def add_batch(
    account: SendingAccount, *, organization: Organization | None = None, people: int = 10, **fields: Any
) -> MessageBatch:
    organization = organization or account.organization
    mailout_fields = {name: fields.pop(name) for name in ("lane", "rate_limit", "pace_tat", "state") if name in fields}
    mailout: Mailout = MailoutFactory.create(account=account, organization=organization, **mailout_fields)
    values: dict[str, Any] = {
        "mailout_id": mailout.pk,
        "account_id": account.pk,
        "organization_id": organization.pk,
        "lane": mailout.lane,
        "email_no": 0,
        "lo": 1,
        "hi": people + 1,
        "armed_to": 1,
        "due_at": timezone.now() - timedelta(seconds=1),
    }
    return MessageBatch.objects.create(**(values | fields))


def claim(raw: Connection, account: SendingAccount, turn: int = 0, **options: Any) -> Batch | None:
    return claim_batch(raw, account.pk, turn=turn, **options)


def test_a_claim_brings_the_batch_with_what_its_mailout_says(account: SendingAccount, raw: Connection) -> None:
    stored = add_batch(account, rate_limit=5.0)

    batch = claim(raw, account)

    assert batch is not None
    assert (batch.id, batch.mailout_id, batch.account_id, batch.claim) == (stored.pk, stored.mailout_id, account.pk, 1)
    assert (batch.lo, batch.hi, batch.armed_to, batch.members, batch.attempt) == (1, 11, 1, None, 0)
    assert (batch.is_dry_run, batch.not_after, batch.sample_of, batch.rate_limit) == (False, None, 0, 5.0)
    assert not batch.is_exhausted
    stored.refresh_from_db()
    assert (stored.state, stored.claim) == (BatchState.CLAIMED, 1)
    assert stored.lease_until is not None
    assert 25 < (stored.lease_until - timezone.now()).total_seconds() <= 30
    assert claim(raw, account) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"due_at": timezone.now() + timedelta(hours=1)},
        {"state": "paused"},
        {"state": "cancelling"},
        {"rate_limit": 5.0, "pace_tat": timezone.now() + timedelta(hours=1)},
    ],
)
def test_what_is_not_due_or_not_sending_is_not_claimed(
    account: SendingAccount, raw: Connection, fields: dict[str, Any]
) -> None:
    add_batch(account, **fields)

    assert claim(raw, account) is None
    assert AccountTurn.objects.count() == 0


@pytest.mark.parametrize("state", [BatchState.CLAIMED, BatchState.DONE, BatchState.HELD, BatchState.CANCELLED])
def test_only_ready_batches_are_claimed(account: SendingAccount, raw: Connection, state: BatchState) -> None:
    batch = add_batch(account)
    MessageBatch.objects.filter(pk=batch.pk).update(state=state)

    assert claim(raw, account) is None


def test_the_earliest_due_batch_comes_first(account: SendingAccount, raw: Connection) -> None:
    late = add_batch(account, due_at=timezone.now() - timedelta(seconds=1))
    early = add_batch(account, due_at=timezone.now() - timedelta(seconds=9))

    claimed = [claim(raw, account), claim(raw, account)]

    assert [batch.id for batch in claimed if batch] == [early.pk, late.pk]


def test_lanes_are_served_in_their_order_and_every_tenth_claim_serves_campaigns_first(
    account: SendingAccount, raw: Connection
) -> None:
    for lane in Lane:
        for _ in range(12):
            add_batch(account, lane=lane)

    lanes = []
    for turn in range(20):
        batch = claim(raw, account, turn)
        assert batch is not None
        lanes.append(batch.lane)

    assert lanes == [0] * 9 + [2] + [0] * 3 + [1] * 6 + [2]


def test_above_a_lane_only_earlier_lanes_are_claimed(account: SendingAccount, raw: Connection) -> None:
    add_batch(account, lane=Lane.CAMPAIGN)
    add_batch(account, lane=Lane.AUTOMATION)
    assert claim(raw, account, 9, above_lane=Lane.AUTOMATION) is None

    urgent = add_batch(account, lane=Lane.TRANSACTIONAL)
    batch = claim(raw, account, 9, above_lane=Lane.AUTOMATION)

    assert batch is not None
    assert batch.id == urgent.pk


def test_two_organizations_on_one_account_move_side_by_side(account: SendingAccount, raw: Connection) -> None:
    second = OrganizationFactory.create()
    for _ in range(40):  # the first one came first, with everything
        add_batch(account, due_at=timezone.now() - timedelta(hours=1))
    for _ in range(40):
        add_batch(account, organization=second)

    claimed = [claim(raw, account, turn) for turn in range(40)]

    owners = Counter(batch.organization_id for batch in claimed if batch)
    assert owners == {account.organization_id: 20, second.pk: 20}


def test_the_least_served_organization_is_next_and_weight_counts(account: SendingAccount, raw: Connection) -> None:
    second = OrganizationFactory.create()
    for organization in (account.organization, second):
        for _ in range(30):
            add_batch(account, organization=organization)
    for organization, vtime, weight in ((account.organization, 0.0, 1.0), (second, 100.0, 4.0)):
        AccountTurn.objects.create(
            account_id=account.pk, lane=2, organization_id=organization.pk, vtime=vtime, weight=weight
        )

    claimed = [claim(raw, account) for _ in range(10)]
    assert {batch.organization_id for batch in claimed if batch} == {account.organization_id}  # catching up

    claimed = [claim(raw, account) for _ in range(25)]
    owners = Counter(batch.organization_id for batch in claimed if batch)
    assert owners[second.pk] == 4 * owners[account.organization_id] == 20
    turn = AccountTurn.objects.get(organization_id=second.pk)
    assert turn.vtime == pytest.approx(100.0 + 20 * 10 / 4)


@pytest.mark.parametrize("newcomers_past", [None, 400.0])
def test_who_is_new_or_was_away_is_not_served_alone_until_they_had_as_much_as_the_others_in_all_their_past(
    account: SendingAccount, raw: Connection, newcomers_past: float | None
) -> None:
    newcomer = OrganizationFactory.create()
    for organization in (account.organization, newcomer):
        for _ in range(20):
            add_batch(account, organization=organization, people=1000)
    for organization, vtime in ((account.organization, 1_000_000.0), (newcomer, newcomers_past)):
        if vtime is not None:
            AccountTurn.objects.create(account_id=account.pk, lane=2, organization_id=organization.pk, vtime=vtime)

    claimed = [claim(raw, account) for _ in range(21)]

    owners = Counter(batch.organization_id for batch in claimed if batch)
    assert owners == {newcomer.pk: 13, account.organization_id: 8}  # five batches ahead, then by turns
    turns = dict(AccountTurn.objects.values_list("organization_id", "vtime"))
    assert turns == {account.organization_id: 1_008_000.0, newcomer.pk: 1_008_000.0}


def test_two_organizations_with_real_mailouts_both_get_mail_early(world: World, raw: Connection) -> None:
    other = make_world(OrganizationFactory.create(name="Other"))
    other.account, other.provider = world.account, world.provider
    AccountGrant.objects.create(account=world.account, organization=other.organization)
    world.add_people(3000)
    other.add_people(1000, start=10_000)
    first, second = world.launch(), other.launch()
    assert first.account_id == second.account_id

    world.run(seconds=10)

    order = [int(call[0].partition("@")[0][1:]) >= 10_000 for call in world.provider.calls]
    assert set(world.provider.handed_over.values()) == {1}
    assert len(world.provider.handed_over) == 4000
    # the second's one batch goes second, not after all three of the first
    assert True in order[: len(order) * 6 // 10]
    assert order.index(True) < len(order) - order[::-1].index(False)


def test_what_somebody_holds_is_skipped_not_waited_for(account: SendingAccount, raw: Connection) -> None:
    first, second = add_batch(account), add_batch(account)
    with open_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM delivery_message_batch WHERE id = %s FOR UPDATE", [first.pk])
        batch = claim(raw, account)

    assert batch is not None
    assert batch.id == second.pk


def test_when_everything_is_held_the_claim_comes_back_empty(account: SendingAccount, raw: Connection) -> None:
    first = add_batch(account)
    with open_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM delivery_message_batch WHERE id = %s FOR UPDATE", [first.pk])
        assert claim(raw, account) is None


def test_eight_claimers_at_once_never_hold_one_batch_twice(account: SendingAccount) -> None:
    for _ in range(24):
        add_batch(account)
    claimed: list[int] = []

    def work() -> None:
        with open_connection() as connection:
            for _ in range(6):
                batch = claim_batch(connection, account.pk, turn=0)
                if batch is not None:
                    claimed.append(batch.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 24


def test_a_released_batch_goes_on_where_it_was(account: SendingAccount, raw: Connection) -> None:
    stored = add_batch(account)
    batch = claim(raw, account)
    assert batch is not None
    MessageBatch.objects.update(armed_to=5)

    release_batch(raw, batch)

    stored.refresh_from_db()
    assert (stored.state, stored.lease_until, stored.armed_to) == (BatchState.READY, None, 5)
    again = claim(raw, account)
    assert again is not None
    assert (again.armed_to, again.claim) == (5, 2)


def test_a_released_batch_that_is_armed_to_its_end_is_done(account: SendingAccount, raw: Connection) -> None:
    stored = add_batch(account)
    batch = claim(raw, account)
    assert batch is not None
    MessageBatch.objects.update(armed_to=11)

    release_batch(raw, batch)

    stored.refresh_from_db()
    assert stored.state == BatchState.DONE


@pytest.mark.parametrize("change", [{"open_calls": 1}, {"claim": 2}])
def test_a_batch_with_calls_out_or_another_claim_is_not_released(
    account: SendingAccount, raw: Connection, change: dict[str, int]
) -> None:
    stored = add_batch(account)
    batch = claim(raw, account)
    assert batch is not None
    MessageBatch.objects.update(**change)

    release_batch(raw, batch)

    stored.refresh_from_db()
    assert stored.state == BatchState.CLAIMED


def test_a_lease_is_renewed_while_it_lives_and_by_its_holder(account: SendingAccount, raw: Connection) -> None:
    stored = add_batch(account)
    batch = claim(raw, account)
    assert batch is not None
    MessageBatch.objects.update(lease_until=timezone.now() + timedelta(seconds=2))

    assert renew_lease(raw, batch)
    stored.refresh_from_db()
    assert stored.lease_until is not None
    assert (stored.lease_until - timezone.now()).total_seconds() > 25

    batch.claim = 2
    assert not renew_lease(raw, batch)
    batch.claim = 1
    MessageBatch.objects.update(lease_until=timezone.now())
    assert not renew_lease(raw, batch)


def test_accounts_with_due_work_are_named_once_dry_runs_as_0(account: SendingAccount, raw: Connection) -> None:
    second = AccountFactory.create()
    idle = AccountFactory.create()
    add_batch(account)
    add_batch(account)
    add_batch(second)
    add_batch(idle, due_at=timezone.now() + timedelta(hours=1))
    add_batch(idle, state="paused")
    add_batch(account, account_id=0)

    assert sorted(accounts_with_due_work(raw)) == sorted([0, account.pk, second.pk])


@pytest.mark.usefixtures("patient")
def test_a_test_send_overtakes_a_campaign_that_is_under_way(world: World, raw: Connection) -> None:
    world.add_people(1000)
    world.launch(rate_limit=300.0)
    loop = world.loop()
    loop.run_slice(slots=2, seconds=0.4)
    send_test(
        organization=world.organization,
        account=world.account,
        compiled=world.compiled,
        recipients=["test@acme.example"],
        preview_subscriber=None,
        name="Test",
        sender="News <news@example.com>",
    )
    handed_over = sum(world.provider.handed_over.values())
    loop.run_slice(slots=2, seconds=0.8)
    loop.close()

    order = [address for call in world.provider.calls for address in call]
    assert 0 < handed_over < 1000
    assert order.index("test@acme.example") <= handed_over + 90


def test_an_overtaken_batch_is_gone_on_with_afterwards(world: World, raw: Connection) -> None:
    world.add_people(900)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    send_test(
        organization=world.organization,
        account=world.account,
        compiled=world.compiled,
        recipients=["test@acme.example"],
        preview_subscriber=None,
        name="Test",
        sender="News <news@example.com>",
    )
    under_way = MessageBatch.objects.get(lane=Lane.CAMPAIGN).armed_to - 1
    held.gate.set()
    held.runner._looked_at = 0.0
    while held.runner.is_busy or held.runner.is_waiting:
        held.runner.step(raw, is_stopping=False)
        held.collect()

    order = [address for call in world.provider.calls for address in call]
    assert under_way == 650  # not all of the batch, so that there is something to overtake
    assert order.index("test@acme.example") == under_way
    assert world.provider.handed_over["test@acme.example"] == 1
    assert len(world.provider.handed_over) == 901
    assert set(world.provider.handed_over.values()) == {1}
