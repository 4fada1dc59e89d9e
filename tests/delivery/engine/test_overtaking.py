"""A letter on its own beside a campaign that waits for the start of its grant."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

from django.utils import timezone

from delivery.engine.database import Connection
from delivery.engine.limiter import Grant
from delivery.engine.runner import PREEMPT_EVERY_SECONDS
from delivery.models import AccountPace, SendCall
from delivery.services.trial import send_test
from tests.delivery.engine.world import HeldRunner, World


def test_a_letter_does_not_wait_for_the_start_of_a_campaigns_grant_which_is_kept(world: World, raw: Connection) -> None:
    world.add_people(500)
    campaign = world.launch()
    AccountPace.objects.update(max_rate=1000, max_calls=1000, mail_tat=timezone.now() + timedelta(seconds=4.5))
    held = HeldRunner(world)
    held.arm(raw)
    assert not SendCall.objects.exists()
    held.runner._grant = grant = Grant(world.account.pk, 50, 50, monotonic() + 60, lead=0.05)
    letter = send_test(
        organization=world.organization, account=world.account, compiled=world.compiled,
        recipients=["urgent@acme.example"], preview_subscriber=None, name="Test", sender="News <news@example.com>",
    )  # fmt: skip
    held.runner._wake_at = 0.0

    held.arm(raw)

    assert list(SendCall.objects.values_list("mailout_id", flat=True)) == [letter.pk]
    held.runner._wake_at = 0.0
    held.arm(raw)  # the campaign waits again, for the same start, and looks for the next letter meanwhile
    assert held.runner._grant is grant
    assert held.runner.next_step_at(monotonic()) <= monotonic() + PREEMPT_EVERY_SECONDS
    grant.starts_at = monotonic()
    held.runner._wake_at = 0.0
    held.arm(raw)
    assert campaign.pk in SendCall.objects.values_list("mailout_id", flat=True)
    held.come_back(1)
    held.runner.release(raw)
