from __future__ import annotations

from django.db import models

from subscribers.models.subscriber import Subscriber


class Engagement(models.Model):
    """What a person did with our mail, rolled up: one narrow row, so that events never touch the wide one."""

    subscriber = models.OneToOneField(
        Subscriber, on_delete=models.CASCADE, primary_key=True, related_name="engagement", db_constraint=False
    )
    delivered = models.IntegerField(default=0)
    opened = models.IntegerField(default=0)
    clicked = models.IntegerField(default=0)
    soft_bounces = models.SmallIntegerField(default=0)  # in distinct mailouts since the last delivery
    last_delivered_at = models.DateTimeField(null=True)
    last_opened_at = models.DateTimeField(null=True)
    last_clicked_at = models.DateTimeField(null=True)
    last_bounced_mailout_id = models.IntegerField(null=True)

    def __str__(self) -> str:
        return f"engagement of {self.subscriber_id}"
