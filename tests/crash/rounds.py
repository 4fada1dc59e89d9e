"""One round: launch, attack, heal, wait for the end, judge. Imported after Django is set up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from campaigns.sample.localses import LocalSes, LocalSesError
from delivery.models import Mailout, StateReason
from tests.crash.attacks import Attacks
from tests.crash.installation import Installation, insist
from tests.crash.judging import Verdict, judge
from tests.crash.plan import Plan
from tests.crash.scene import Scene, make_scene, persist
from tests.crash.timeline import Timeline

FINISH_SECONDS = 60.0  # after the last attack
UNSCALED_FINISH_SECONDS = 150.0  # two leases run out, and the provider is asked once a minute
TOLD_SECONDS = 90.0  # until Local SES has told everything and it was understood
LOOK_SECONDS = 0.05
BEHAVIOUR = {
    "max_24_hour": 10_000_000.0,
    "bounce_rate": 0.01,
    "soft_bounce_rate": 0.01,
    "delay_rate": 0.01,
    "open_rate": 0.03,
    "click_rate": 0.01,
    "unsubscribe_rate": 0.003,
    "spread_seconds": 2.0,
}


@dataclass
class Round:
    """How a round went."""

    plan: Plan
    timeline: Timeline
    verdict: Verdict
    seconds: float
    finish_seconds: float  # from the last attack to the end of the last mailout

    @property
    def has_passed(self) -> bool:
        return not self.verdict.reasons


def hurry_housekeeping(scale: float) -> None:
    """What asks the provider every minute how the account is asks as much more often as leases are shorter."""
    schedule, _made = IntervalSchedule.objects.get_or_create(every=max(1, round(60 / scale)), period="seconds")
    PeriodicTask.objects.filter(task="delivery.tasks.housekeep").update(interval=schedule)


def run_round(installation: Installation, plan: Plan, *, follow: bool = False) -> Round:
    """Play a round to its end; the installation is whole again after it."""
    localses = LocalSes(installation.localses_url)
    localses.wait_until_up(seconds=30)
    settings = BEHAVIOUR | {"max_send_rate": plan.rate, "latency_ms": plan.latency_ms}
    localses.change_settings(**settings)
    httpx.delete(f"{installation.localses_url}/_localses/messages", timeout=10).raise_for_status()
    scene = persist(lambda: make_scene(installation, plan, Timeline(follow=follow)))
    scene.timeline = Timeline(follow=follow)
    scene.timeline.note(plan.describe())
    attacks = Attacks(scene)
    finished_after = 0.0
    said: list[str] = []
    try:
        finished_after = _attack(scene, attacks, settings)
    except Exception as error:  # noqa: BLE001 - whatever breaks the round is its result
        said.append(f"{type(error).__name__}: {error}")
        scene.timeline.note(said[-1])
    attacks.heal()
    localses.wait_until_up(seconds=30)
    verdict = judge(scene, armed_at_kills=attacks.armed_at_kills, has_disturbed_calls=attacks.has_disturbed_calls)
    verdict.reasons[:0] = said
    return Round(plan, scene.timeline, verdict, scene.timeline.seconds, finished_after)


def _attack(scene: Scene, attacks: Attacks, settings: dict[str, float]) -> float:
    for strike in scene.plan.strikes:
        attacks.plan(strike)
    pressing = scene.start_pressing()
    leaving = scene.let_people_leave()
    healed_at = 0.0
    limit = UNSCALED_FINISH_SECONDS if scene.installation.scale == 1 else FINISH_SECONDS
    while True:
        attacks.run_due()
        attacks.keep_provider(settings)
        if attacks.is_over and not healed_at:
            healed_at = scene.timeline.seconds
            scene.timeline.note("the last attack is over")
        if healed_at and not pressing.is_alive() and _are_finished(scene):
            break
        if healed_at and scene.timeline.seconds > healed_at + limit:
            _describe(scene)
            raise TimeoutError(f"not finished {limit:.0f} s after the last attack: {_states(scene)}")
        time.sleep(LOOK_SECONDS)
    finished_after = scene.timeline.seconds - healed_at
    scene.timeline.note(f"finished {finished_after:.1f} s after the last attack")
    leaving.join(timeout=60)
    if leaving.is_alive():
        raise TimeoutError("people could not leave")
    _wait_until_told(scene)
    return finished_after


def _are_finished(scene: Scene) -> bool:
    """Whether every mailout is over. What a brake stopped is let go, as its owner would."""
    rows = _states(scene)
    for mailout_id, state, reason in rows:
        if state == "paused" and reason != StateReason.BY_HAND:
            scene.timeline.note(f"mailout {mailout_id} is paused: {reason}")
            scene.resume(mailout_id)
    return bool(rows) and all(state in ("finished", "cancelled") for _id, state, _reason in rows)


def _states(scene: Scene) -> list[tuple[int, str, str]]:
    mailouts = persist(lambda: list(Mailout.objects.filter(list_ids=[scene.readers.pk]).order_by("pk")))
    return [(mailout.pk, mailout.state, mailout.state_reason) for mailout in mailouts]


def _describe(scene: Scene) -> None:
    """What stands in the way of a mailout that does not finish: the first questions one would ask."""
    for what, query in (
        ("now", "SELECT clock_timestamp()"),
        ("accounts", "SELECT account_id, parked_reason, parked_until, factor, probe_at FROM delivery_account_pace"),
        (
            "batches",
            "SELECT mailout_id, state, count(*), min(due_at) FROM delivery_message_batch GROUP BY 1, 2 ORDER BY 1, 2",
        ),
        ("armed calls", "SELECT mailout_id, count(*) FROM delivery_send_call WHERE state = 0 GROUP BY 1"),
        ("slots", "SELECT n, lease_until FROM delivery_engine_slot ORDER BY n"),
        ("home", "SELECT is_away, detail FROM delivery_engine_home"),
        ("periodic tasks", "SELECT name, last_run_at FROM django_celery_beat_periodictask ORDER BY name"),
    ):
        said = "; ".join(" ".join(map(str, row)) for row in scene.installation.rows(query))
        scene.timeline.note(f"{what}: {said}")
    scene.timeline.note(f"queues: {scene.installation.queue_lengths()}")


def _wait_until_told(scene: Scene) -> None:
    localses = LocalSes(scene.installation.localses_url)
    deadline = time.monotonic() + TOLD_SECONDS
    while time.monotonic() < deadline:
        stats = insist(localses.stats, LocalSesError)
        inbox = scene.installation.rows("SELECT count(*) FROM delivery_inbox")[0][0]
        stale = scene.installation.rows("SELECT count(*) FROM delivery_mailout WHERE is_account_stale")[0][0]
        if not (stats["events_pending"] or stats["posts_waiting"] or inbox or stale):
            scene.timeline.note("everything was told and understood")
            return
        time.sleep(0.2)
    raise TimeoutError(f"still to be told: {stats}, in the inbox {inbox}, accounts to count {stale}")


def keep_logs(installation: Installation, marks: dict[str, int], folder: Path, timeline: Timeline) -> None:
    """Write down what the programs and the database said since the marks, and the timeline."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "timeline.txt").write_text("\n".join(timeline.lines) + "\n", encoding="utf-8")
    for path in _logs(installation):
        with path.open("rb") as log:
            log.seek(marks.get(path.name, 0))
            (folder / path.name).write_bytes(log.read())


def mark_logs(installation: Installation) -> dict[str, int]:
    """How long each log is now."""
    return {path.name: path.stat().st_size for path in _logs(installation)}


def _logs(installation: Installation) -> list[Path]:
    return [*sorted(installation.logs.iterdir()), installation.postgres.log_path]
