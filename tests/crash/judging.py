"""The account of a round: Local SES's record against the ledger, person by person. Imported after Django is set up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from campaigns.sample.localses import PAGE, Accepted
from campaigns.sample.reconciling import compare
from delivery.models import CallState, Mailout, MailoutState, MessageState
from delivery.selectors.accounting import STATE_NAMES
from delivery.tokens import read_track_token
from tests.crash.installation import insist
from tests.crash.plan import PER_CALL
from tests.crash.scene import Scene, persist
from tests.crash.weather import MISSING

EXAMPLES = 5
LOST_WITH_WORKER = "no answer: the worker was lost"  # what the reaper writes


@dataclass
class Verdict:
    """Numbers of people; the first four must be 0. `reasons`: every rule that was broken, as a sentence."""

    duplicates: int = 0
    lost: int = 0
    wrongly_mailed: int = 0
    unknown_left: int = 0
    unknown_unaccepted: int = 0
    armed_at_kills: int = 0  # calls
    people: int = 0
    reasons: list[str] = field(default_factory=list)

    def blame(self, name: str, people: list[Any] | set[Any], said: str) -> None:
        """Count people under a name, and say who."""
        if people:
            setattr(self, name, getattr(self, name) + len(people))
            self.reasons.append(f"{len(people)} {said}: {sorted(people)[:EXAMPLES]}")

    def require(self, holds: bool, said: str) -> None:
        if not holds:
            self.reasons.append(said)


def judge(scene: Scene, *, armed_at_kills: int, has_disturbed_calls: bool) -> Verdict:
    """Compare what Local SES accepted with what the ledger says, for every mailout of the round."""
    verdict = Verdict()
    accepted, untold = _record(scene.installation.localses_url)
    tags = [token for one in accepted if (token := read_track_token(one.tag)) is not None]
    sent_to: dict[int, Counter[int]] = {}
    for token in tags:
        sent_to.setdefault(token.mailout_id, Counter())[token.n] += 1
    verdict.require(len(tags) == len(accepted), "Local SES accepted emails without our tag")
    known = {number for (number,) in scene.installation.rows("SELECT id FROM delivery_mailout")}
    verdict.require(set(sent_to) <= known, f"mailouts were sent that nobody knows of: {set(sent_to) - known}")
    for campaign_id, mailouts in scene.mailout_ids.items():
        verdict.require(len(mailouts) == 1, f"campaign {campaign_id} became the mailouts {sorted(mailouts)}")
    for mailout_id in scene.mailouts:
        mailout = persist(lambda mailout_id=mailout_id: Mailout.objects.get(pk=mailout_id))  # type: ignore[misc]
        silent = {token.n for tag in untold if (token := read_track_token(tag)) and token.mailout_id == mailout_id}
        unknown = _judge_mailout(scene, verdict, mailout, sent_to.get(mailout_id, Counter()), silent)
        told = [
            one for one in accepted if (token := read_track_token(one.tag)) is None or token.n not in unknown & silent
        ]
        comparison = persist(lambda mailout=mailout, told=told: compare(mailout, told))  # type: ignore[misc]
        verdict.require(comparison.is_equal, comparison.sentence())
    told_of = {(mailout_id, n) for mailout_id, people in sent_to.items() for n in people}
    _judge_unknown(scene, verdict, told_of, armed_at_kills=armed_at_kills, has_disturbed_calls=has_disturbed_calls)
    return verdict


def _record(url: str) -> tuple[list[Accepted], set[str]]:
    """What Local SES accepted, and the tags of those of whom it tells nothing."""
    accepted: list[Accepted] = []
    untold: set[str] = set()
    after = 0
    while True:
        page = insist(
            lambda after=after: httpx.get(  # type: ignore[misc]
                f"{url}/_localses/messages", params={"after": after, "limit": PAGE}, timeout=20
            ).raise_for_status(),
            httpx.HTTPError,
        ).json()
        for one in page["messages"]:
            accepted.append(Accepted(one["message_id"], one["to"], str(one["tags"].get("m", ""))))
            if MISSING in one["faults"]:
                untold.add(accepted[-1].tag)
        if page["next"] is None:
            return accepted, untold
        after = page["next"]


def _judge_mailout(
    scene: Scene, verdict: Verdict, mailout: Mailout, accepted: Counter[int], silent: set[int]
) -> set[int]:
    """Judge one mailout; returns who is unknown. silent: people of whom no event tells."""
    rows = scene.installation.rows(
        "SELECT n, subscriber_id, state, provider_id FROM delivery_message WHERE mailout_id = %s", [mailout.pk]
    )
    verdict.people += len(rows)
    end = MailoutState.CANCELLED if mailout.pk in scene.has_been_cancelled else MailoutState.FINISHED
    verdict.require(mailout.state == end, f"mailout {mailout.pk} is {mailout.state}, not {end}")
    verdict.blame("duplicates", [n for n, times in accepted.items() if times > 1], "got two emails")
    people = Counter(subscriber_id for _n, subscriber_id, _state, _id in rows)
    verdict.blame("duplicates", [who for who, times in people.items() if times > 1], "have two messages")
    verdict.blame("lost", set(scene.people) - set(people), "candidates have no message")
    waiting = [n for n, _who, state, _id in rows if state in (MessageState.QUEUED, MessageState.HELD)]
    verdict.blame("lost", waiting, "still wait")
    sent = {n for n, _who, state, _id in rows if state == MessageState.SENT}
    verdict.blame("lost", sent - set(accepted), "are sent, and Local SES has nothing")
    unknown = {n for n, _who, state, _id in rows if state == MessageState.UNKNOWN}
    verdict.blame("unknown_left", (unknown & set(accepted)) - silent, "are unknown, though accepted and told of")
    _judge_leaving(scene, verdict, mailout, {n: who for n, who, _state, _id in rows}, accepted)
    _judge_sums(scene, verdict, mailout, Counter(STATE_NAMES[state] for _n, _who, state, _id in rows))
    return unknown


# The last call that went out with somebody is the one that was accepted: after it nobody sends to them again.
_CHECKED = """
SELECT m.n, max(c.checked_at)
  FROM delivery_message m
  JOIN delivery_message_batch b ON b.mailout_id = m.mailout_id
   AND (b.members IS NULL AND m.n >= b.lo AND m.n < b.hi OR m.n = ANY(b.members))
  JOIN delivery_send_call c ON c.batch_id = b.id AND c.state <> %s
   AND (b.members IS NULL AND m.n >= c.lo AND m.n < c.hi OR m.n = ANY(b.members[c.lo + 1 : c.hi]))
 WHERE m.mailout_id = %s AND m.n = ANY(%s)
 GROUP BY m.n
"""


def _judge_leaving(
    scene: Scene, verdict: Verdict, mailout: Mailout, who: dict[int, int], accepted: Counter[int]
) -> None:
    """Nobody is mailed whose leaving was committed before the look that let their call go."""
    left: dict[int, datetime] = {n: scene.left_at[who[n]] for n in accepted if who.get(n) in scene.left_at}
    checked = dict(scene.installation.rows(_CHECKED, [CallState.NOT_SENT.value, mailout.pk, list(left)]))
    wrongly = [n for n, at in left.items() if n not in checked or checked[n] > at]
    verdict.blame("wrongly_mailed", wrongly, "got an email after they had left")
    excluded = scene.installation.rows(
        "SELECT n FROM delivery_message WHERE mailout_id = %s AND state = %s", [mailout.pk, MessageState.EXCLUDED.value]
    )
    verdict.blame("wrongly_mailed", {n for (n,) in excluded} & set(accepted), "are excluded and got an email")


def _judge_sums(scene: Scene, verdict: Verdict, mailout: Mailout, counted: Counter[str]) -> None:
    """Candidates = the sum of their fates; the stored account and the batches' counters say the same as the rows."""
    verdict.require(
        mailout.candidates == sum(counted.values()) == len(scene.people),
        f"{mailout.candidates} candidates, {sum(counted.values())} messages, {len(scene.people)} people",
    )
    stored = {name: n for name, n in (mailout.final_account or {}).get("states", {}).items() if n}
    verdict.require(stored == dict(counted), f"the account says {stored}, the rows {dict(counted)}")
    sent, failed, unknown, excluded, cancelled = scene.installation.rows(
        "SELECT sum(sent), sum(failed), sum(unknown), sum(excluded), sum(cancelled) FROM delivery_message_batch"
        " WHERE mailout_id = %s",
        [mailout.pk],
    )[0]
    excluded += mailout.candidates - mailout.eligible
    sums = {"sent": sent, "failed": failed, "unknown": unknown, "excluded": excluded, "cancelled": cancelled}
    verdict.require(
        {name: n for name, n in sums.items() if n} == dict(counted), f"the batches say {sums}, the rows {dict(counted)}"
    )


def _judge_unknown(
    scene: Scene, verdict: Verdict, accepted: set[tuple[int, int]], *, armed_at_kills: int, has_disturbed_calls: bool
) -> None:
    """Who is unknown and not accepted was in a call that was armed at a kill, or the provider did not answer."""
    rows = scene.installation.rows(
        "SELECT mailout_id, n, COALESCE(error, '') FROM delivery_message WHERE mailout_id = ANY(%s) AND state = %s",
        [scene.mailouts, MessageState.UNKNOWN.value],
    )
    unsent = [error.startswith(LOST_WITH_WORKER) for mailout_id, n, error in rows if (mailout_id, n) not in accepted]
    verdict.unknown_unaccepted = len(unsent)
    verdict.armed_at_kills = armed_at_kills
    verdict.require(
        unsent.count(True) <= armed_at_kills * PER_CALL,
        f"{unsent.count(True)} are unknown since a worker was lost, with {armed_at_kills} calls armed at kills",
    )
    verdict.require(
        has_disturbed_calls or not unsent.count(False),
        f"{unsent.count(False)} are unknown by their answer, and nothing disturbed the provider",
    )
