from __future__ import annotations

from django.db import models


class EngineSlot(models.Model):
    """One of N places for engine loops: a slice leases one or leaves, so that ticks cannot multiply it."""

    n = models.SmallIntegerField(primary_key=True)
    owner = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "delivery_engine_slot"

    def __str__(self) -> str:
        return f"slot {self.n}"


class EngineHome(models.Model):
    """Where this database lives. A restored backup or a copy has another system identifier, timeline or object id:
    then every account parks until a command confirms, or yesterday's backup would mail everybody again."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    system_identifier = models.BigIntegerField()
    timeline = models.IntegerField()
    database_oid = models.BigIntegerField()
    table_oid = models.BigIntegerField()  # of this table: pg_restore makes it anew
    public_url = models.CharField(max_length=300)
    heartbeat = models.BigIntegerField(default=0)  # a restored snapshot has fewer than the cache remembers
    confirmed_at = models.DateTimeField()
    is_away = models.BooleanField(default=False)
    detail = models.TextField(blank=True)

    class Meta:
        db_table = "delivery_engine_home"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="engine_home_single")]

    def __str__(self) -> str:
        return self.public_url


class MailoutCounter(models.Model):
    """The running number of mailouts within a month."""

    month = models.IntegerField(primary_key=True)  # months since 2020-01
    last = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_mailout_counter"

    def __str__(self) -> str:
        return f"month {self.month}: {self.last}"
