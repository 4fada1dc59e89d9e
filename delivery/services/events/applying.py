"""One set of events applied to the ledger, in the caller's transaction.

1. Lock the messages; drop events of messages that are not there, and those whose destination is somebody else's.
2. Append the events. What the ledger already had changes nothing from here on.
3. Judge opens and clicks, move facts to the earliest time, settle unknown messages.
4. Suppress, then write engagement and roll-ups by the difference.

A message's facts and roll-ups are functions of the set of its events, so that repeated and shuffled events give
identical tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from delivery.models import EventType, MessageState, Verdict
from delivery.services.events import appending, ledger
from delivery.services.events.engagement import Engagement
from delivery.services.events.judging import Act, judge_acts, judge_agent
from delivery.services.events.ledger import Cursor, EventKey, Key, MailoutInfo, Row
from delivery.services.events.model import ProviderEvent
from delivery.services.events.rollups import Rollups
from delivery.services.events.suppressing import Foreign, find_foreign, pause_soft_bounced, suppress_addresses

logger = structlog.get_logger(__name__)

_SENT = EventType.SENT.value
_DELIVERED = EventType.DELIVERED.value
_SOFT_BOUNCED = EventType.SOFT_BOUNCED.value
_FEW = 20
_HUMAN = Verdict.HUMAN.value
_READER = (EventType.OPENED.value, EventType.CLICKED.value)
_SENT_STATE = MessageState.SENT.value
_OPEN_STATES = (MessageState.UNKNOWN.value, MessageState.QUEUED.value)
_UNSENT_STATES = (MessageState.FAILED.value, MessageState.EXCLUDED.value, MessageState.CANCELLED.value)
# In place of the provider's id, until it is known: the reader's act proves that the message was accepted.
_PROVEN_BY_READER = ""
_WITHOUT_FACT = frozenset(
    type_.value
    for type_ in (
        EventType.SOFT_BOUNCED,
        EventType.DEFERRED,
        EventType.REJECTED,
        EventType.FAILED,
        EventType.AUTORESPONDED,
    )
)


@dataclass(slots=True)
class Batch:
    """Events of one transaction, grouped by message."""

    cursor: Cursor
    mailouts: dict[int, MailoutInfo]
    rows: dict[Key, Row]
    events: dict[EventKey, ProviderEvent] = field(default_factory=dict)
    signs: dict[Key, ProviderEvent] = field(default_factory=dict)  # the first proof of acceptance
    failures: dict[Key, ProviderEvent] = field(default_factory=dict)
    new: list[EventKey] = field(default_factory=list)


def apply_events(events: Sequence[ProviderEvent]) -> list[Foreign]:
    """Apply events; return those that must hit nobody, since they are not about the message that they name."""
    cursor = ledger.open_cursor()
    mailouts = ledger.read_mailouts(cursor, {event.mailout_id for event in events if event.mailout_id})
    rows = ledger.lock_messages(cursor, {(event.mailout_id, event.n) for event in events if event.mailout_id}, mailouts)
    negative = [event for event in events if event.consequence]
    foreign = find_foreign(cursor, negative)
    if foreign:
        ids = {id(found.event) for found in foreign}
        events = [event for event in events if id(event) not in ids]
        negative = [event for event in negative if id(event) not in ids]
    batch = Batch(cursor, mailouts, rows)
    _collect(batch, events)
    if batch.events:
        _append(batch)
    _settle(batch)
    rollups, engagement = Rollups(), Engagement()
    _move(batch, rollups, engagement)
    ledger.update_facts(cursor, rows.values())
    ledger.update_states(cursor, rows.values())
    _count_states(batch)
    if negative:
        suppress_addresses(negative, mailouts)
    pause_soft_bounced(engagement.write(cursor))
    rollups.write(cursor)
    return foreign


def _collect(batch: Batch, events: Iterable[ProviderEvent]) -> None:
    """Sort events into what is appended and what only proves acceptance."""
    missing = 0
    for event in events:
        key = (event.mailout_id, event.n)
        row = batch.rows.get(key)
        if row is None:
            missing += 1
            continue
        if event.error is not None:
            batch.failures.setdefault(key, event)
        known = batch.signs.get(key)
        if known is None or (known.provider_id is None and event.provider_id is not None):
            batch.signs[key] = event
        if event.type != _SENT:
            batch.events[(*key, event.type, event.at, event.disc)] = event
    if missing:
        logger.info("events.message_missing", count=missing)


def _append(batch: Batch) -> None:
    verdicts = {key: judge_agent(event.user_agent).value for key, event in batch.events.items() if key[2] in _READER}
    without_fact = {key[:3] for key in batch.events if key[2] in _WITHOUT_FACT}
    if without_fact:
        for (mailout_id, n, type_), at in appending.read_first_times(batch.cursor, without_fact).items():
            row = batch.rows[mailout_id, n]
            row.first_was = (row.first_was or {}) | {type_: at}
    suspects = [key for key in batch.events if _may_be_known(batch, key)]
    known = appending.find_events(batch.cursor, suspects) if suspects else ()
    batch.new = [key for key in batch.events if key not in known] if known else list(batch.events)
    appending.copy_events(batch.cursor, [(key, batch.events[key]) for key in batch.new], verdicts)
    for key in batch.new:
        mailout_id, n, type_, at, _ = key
        _advance(batch.rows[mailout_id, n], type_, at, verdicts.get(key, 0))


def _may_be_known(batch: Batch, key: EventKey) -> bool:
    """The first event of a type leaves its time in the message's row, so that only a second one can be a repeat.

    A few are looked up in any case: when a batch failed, its messages are tried one by one, whatever the reason was.
    """
    index = ledger.FACT_OF_TYPE.get(key[2])
    return index is None or len(batch.events) < _FEW or batch.rows[key[:2]].facts[index] is not None


def _advance(row: Row, type_: int, at: datetime, verdict: int) -> None:
    """Move the message's facts to the earliest time seen."""
    index = ledger.FACT_OF_TYPE.get(type_)
    if index is None:
        if row.first is None:
            row.first = {}
        known = row.first.get(type_) or (row.first_was or {}).get(type_)
        row.first[type_] = at if known is None or at < known else known
        return
    _lower(row, index, at)
    if verdict == _HUMAN:
        _lower(row, index + 1, at)


def _lower(row: Row, index: int, at: datetime) -> None:
    fact = row.facts[index]
    if fact is None or at < fact:
        row.facts[index] = at


def _settle(batch: Batch) -> None:
    """Whatever happened to a message proves that it was accepted; a failure after that makes it failed."""
    for key, event in batch.signs.items():
        row = batch.rows[key]
        if row.state == _SENT_STATE or row.state in _OPEN_STATES or _ended_untold(row):
            if row.state != _SENT_STATE and row.state != MessageState.QUEUED:
                row.state = _SENT_STATE
                row.is_marked = True
            # A waiting message is inside an armed call, and its settling moves it, or waits for another attempt, which
            # is not made then. The mark tells both that there is nothing unknown about it.
            if not row.provider_id or row.sent_at is None:
                _mark_accepted(row, event)
        failure = batch.failures.get(key) if batch.failures else None
        if failure is not None and row.state in (MessageState.SENT, MessageState.QUEUED):
            row.state = MessageState.FAILED.value
            row.error = failure.error
            row.is_marked = True


def _ended_untold(row: Row) -> bool:
    """Whether a later attempt failed, was left out or was stopped, and nobody knew that an earlier one had been accepted."""
    return row.attempt > 0 and row.provider_id is None and row.state in _UNSENT_STATES


def _mark_accepted(row: Row, event: ProviderEvent) -> None:
    if event.provider_id is None:
        if row.state == MessageState.QUEUED and row.provider_id is None:
            row.provider_id, row.is_marked = _PROVEN_BY_READER, True
        if row.sent_at is None:
            row.sent_at, row.is_marked = event.at, True
    elif not row.provider_id:
        row.provider_id, row.is_marked = event.provider_id, True
        row.sent_at = min(filter(None, (row.sent_at, event.sent_at)), default=None)


def _count_states(batch: Batch) -> None:
    moves = [
        ledger.Move(row.mailout_id, row.n, row.attempt, row.was_state, row.state)
        for row in batch.rows.values()
        if row.state != row.was_state
    ]
    if moves:
        ledger.move_counters(batch.cursor, moves)


def _move(batch: Batch, rollups: Rollups, engagement: Engagement) -> None:
    """Re-judge clicked messages, then count everything by the difference."""
    humans = _judge_clicked(batch, rollups)
    touched = {key[:2] for key in batch.new} | humans.keys()
    for mailout_id, n, type_, at, disc in batch.new:
        row = batch.rows[mailout_id, n]
        if not row.counts:
            continue
        event = batch.events[mailout_id, n, type_, at, disc]
        rollups.add_event(row, type_, at, event.link_no)
        if not row.subscriber_id:
            continue
        if type_ == _DELIVERED:
            engagement.add_delivery(row, at)
        elif type_ == _SOFT_BOUNCED:
            engagement.add_soft_bounce(row)
        elif type_ in _READER and humans.get(row.key, {}).get((type_, at, disc), judge_agent(event.user_agent)) == 1:
            engagement.add_human_act(row, type_, at)
    for key in sorted(touched):
        row = batch.rows[key]
        if row.counts:
            rollups.move_message(row)
            if row.subscriber_id:
                engagement.move_message(row)


def _judge_clicked(batch: Batch, rollups: Rollups) -> dict[Key, dict[tuple[int, datetime, int], int]]:
    """Judge all acts of messages that have clicks and got a new act, since one link can change the verdict on others.

    Returns the verdicts by message and act.
    """
    new = {(key[0], key[1]): set[tuple[int, datetime, int]]() for key in batch.new if key[2] in _READER}
    new = {key: acts for key, acts in new.items() if batch.rows[key].facts[ledger.CLICKED] is not None}
    if not new:
        return {}
    for mailout_id, n, type_, at, disc in batch.new:
        if (mailout_id, n) in new:
            new[mailout_id, n].add((type_, at, disc))
    judged: dict[Key, dict[tuple[int, datetime, int], int]] = {}
    changed: dict[EventKey, int] = {}
    for key, acts in ledger.read_acts(batch.cursor, new).items():
        after = [act._replace(verdict=verdict.value) for act, verdict in zip(acts, judge_acts(acts), strict=True)]
        row = batch.rows[key]
        judged[key] = {(act.type, act.at, act.disc): act.verdict for act in after}
        for was, now in zip(acts, after, strict=True):
            if was.verdict != now.verdict:
                changed[(*key, now.type, now.at, now.disc)] = now.verdict
        _set_human_facts(row, after)
        if row.counts:
            before = [act for act in acts if (act.type, act.at, act.disc) not in new[key]]
            rollups.move_links(row, before, after)
    if changed:
        ledger.update_verdicts(batch.cursor, changed)
    return judged


def _set_human_facts(row: Row, acts: list[Act]) -> None:
    """The earliest open and click of a person, as judged now. Facts older than the events that are kept stay."""
    for type_, index in ((EventType.OPENED, ledger.OPENED_HUMAN), (EventType.CLICKED, ledger.CLICKED_HUMAN)):
        times = [act.at for act in acts if act.type == type_ and act.verdict == Verdict.HUMAN]
        fact = row.facts[index]
        if fact is not None and not any(act.type == type_ and act.at == fact for act in acts):
            times.append(fact)
        row.facts[index] = min(times, default=None)
