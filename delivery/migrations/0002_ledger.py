"""The partitioned ledger: plain declarative partitioning, no extension. Django knows its models as state only.

Leaves: early vacuum, no foreign keys, no index but the keys, room in a message's page for its sent successor. The
uniqueness leads with the person: led by the mailout, the planner would take it for a search by n in a mailout that its
statistics do not know yet, and read the whole of it. Partitions of the running months are made by
`delivery.services.partitions`; events and seen ids have a default partition, so that nothing is ever refused.
"""

import django.db.models.fields.composite
from django.db import migrations, models

LEDGER = """
CREATE TABLE delivery_message (
    subscriber_id bigint NOT NULL,
    occurrence bigint NOT NULL DEFAULT 0,
    sent_at timestamptz, delivered_at timestamptz, bounced_at timestamptz, complained_at timestamptz,
    unsubscribed_at timestamptz, opened_at timestamptz, opened_human_at timestamptz, clicked_at timestamptz,
    clicked_human_at timestamptz,
    domain_id bigint NOT NULL DEFAULT 0,
    list_id bigint NOT NULL DEFAULT 0,
    mailout_id integer NOT NULL,
    n integer NOT NULL,
    address_hash integer NOT NULL DEFAULT 0,
    email_no smallint NOT NULL DEFAULT 0,
    state smallint NOT NULL DEFAULT 0,
    reason smallint NOT NULL DEFAULT 0,
    attempt smallint NOT NULL DEFAULT 0,
    provider_id text,
    error text,
    PRIMARY KEY (mailout_id, n),
    UNIQUE (subscriber_id, mailout_id, occurrence)
) PARTITION BY RANGE (mailout_id);

CREATE SEQUENCE delivery_event_id_seq;
CREATE TABLE delivery_event (
    mailout_id integer NOT NULL,
    n integer NOT NULL,
    at timestamptz NOT NULL,
    type smallint NOT NULL,
    disc integer NOT NULL DEFAULT 0,
    link_no smallint,
    verdict smallint NOT NULL DEFAULT 0,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint NOT NULL DEFAULT nextval('delivery_event_id_seq'),
    detail jsonb,
    PRIMARY KEY (mailout_id, n, type, at, disc)
) PARTITION BY RANGE (at);
-- consumers read in commit order: tx < pg_snapshot_xmin(pg_current_snapshot()), ordered by (tx, id)
CREATE INDEX delivery_event_order ON delivery_event (tx, id);
CREATE TABLE delivery_event_default PARTITION OF delivery_event DEFAULT;

CREATE TABLE delivery_inbox_seen (
    published_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (published_at, digest)
) PARTITION BY RANGE (published_at);
CREATE TABLE delivery_inbox_seen_default PARTITION OF delivery_inbox_seen DEFAULT;

ALTER TABLE delivery_message_batch SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE delivery_message_batch
    ALTER attempt SET DEFAULT 0, ALTER call_size SET DEFAULT 0, ALTER state SET DEFAULT 0, ALTER claim SET DEFAULT 0,
    ALTER sent SET DEFAULT 0, ALTER failed SET DEFAULT 0, ALTER excluded SET DEFAULT 0, ALTER unknown SET DEFAULT 0,
    ALTER cancelled SET DEFAULT 0, ALTER open_calls SET DEFAULT 0;
ALTER TABLE delivery_send_call ALTER state SET DEFAULT 0;
ALTER TABLE delivery_account_pace SET (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE delivery_account_usage ALTER n SET DEFAULT 0;
ALTER TABLE delivery_account_turn ALTER vtime SET DEFAULT 0, ALTER weight SET DEFAULT 1;
ALTER TABLE delivery_stat_email ALTER total SET DEFAULT 0, ALTER uniq SET DEFAULT 0, ALTER uniq_human SET DEFAULT 0;
ALTER TABLE delivery_stat_hour ALTER total SET DEFAULT 0, ALTER uniq SET DEFAULT 0, ALTER uniq_human SET DEFAULT 0;
ALTER TABLE delivery_stat_domain ALTER total SET DEFAULT 0, ALTER uniq SET DEFAULT 0, ALTER uniq_human SET DEFAULT 0;
ALTER TABLE delivery_stat_link ALTER total SET DEFAULT 0, ALTER uniq SET DEFAULT 0, ALTER uniq_human SET DEFAULT 0;
ALTER TABLE delivery_inbox ALTER attempts SET DEFAULT 0, ALTER received_at SET DEFAULT now();
"""

UNDO = """
DROP TABLE delivery_message;
DROP TABLE delivery_event;
DROP SEQUENCE delivery_event_id_seq;
DROP TABLE delivery_inbox_seen;
"""


class Migration(migrations.Migration):
    dependencies = [("delivery", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(LEDGER, UNDO)],
            state_operations=[
                migrations.CreateModel(
                    name='Message',
                    fields=[
                        ('pk', models.CompositePrimaryKey('mailout_id', 'n', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('mailout_id', models.IntegerField()),
                        ('n', models.IntegerField()),
                        ('subscriber_id', models.BigIntegerField()),
                        ('occurrence', models.BigIntegerField(default=0)),
                        ('domain_id', models.BigIntegerField(default=0)),
                        ('list_id', models.BigIntegerField(default=0)),
                        ('address_hash', models.IntegerField(default=0)),
                        ('email_no', models.SmallIntegerField(default=0)),
                        ('state', models.SmallIntegerField(choices=[(0, 'Waiting'), (1, 'Sent'), (2, 'Simulated'), (3, 'Failed'), (4, 'No answer from the provider'), (5, 'Left out'), (6, 'Stopped'), (7, 'Held back')], default=0)),
                        ('reason', models.SmallIntegerField(choices=[(0, ''), (1, 'Complained'), (2, 'Bounced before'), (3, 'On the suppression list'), (4, 'Unsubscribed'), (5, 'Never confirmed'), (6, 'On a list that was left out'), (7, 'Not a deliverable address'), (8, 'Erased'), (9, 'Address changed since the audience was frozen'), (10, 'Too late')], default=0)),
                        ('attempt', models.SmallIntegerField(default=0)),
                        ('sent_at', models.DateTimeField(null=True)),
                        ('delivered_at', models.DateTimeField(null=True)),
                        ('bounced_at', models.DateTimeField(null=True)),
                        ('complained_at', models.DateTimeField(null=True)),
                        ('unsubscribed_at', models.DateTimeField(null=True)),
                        ('opened_at', models.DateTimeField(null=True)),
                        ('opened_human_at', models.DateTimeField(null=True)),
                        ('clicked_at', models.DateTimeField(null=True)),
                        ('clicked_human_at', models.DateTimeField(null=True)),
                        ('provider_id', models.TextField(null=True)),
                        ('error', models.TextField(null=True)),
                    ],
                    options={
                        'db_table': 'delivery_message',
                    },
                ),
                migrations.CreateModel(
                    name='DeliveryEvent',
                    fields=[
                        ('pk', models.CompositePrimaryKey('mailout_id', 'n', 'type', 'at', 'disc', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('mailout_id', models.IntegerField()),
                        ('n', models.IntegerField()),
                        ('at', models.DateTimeField()),
                        ('type', models.SmallIntegerField(choices=[(1, 'Sent'), (2, 'Delivered'), (3, 'Bounced'), (4, 'Bounced for now'), (5, 'Delayed'), (6, 'Complained'), (7, 'Rejected'), (8, 'Could not be rendered'), (9, 'Opened'), (10, 'Clicked'), (11, 'Unsubscribed'), (12, 'Automatic answer')])),
                        ('disc', models.IntegerField(default=0)),
                        ('link_no', models.SmallIntegerField(null=True)),
                        ('verdict', models.SmallIntegerField(choices=[(0, 'Unjudged'), (1, 'Human'), (2, 'Machine')], default=0)),
                        ('id', models.BigIntegerField()),
                        ('detail', models.JSONField(null=True)),
                    ],
                    options={
                        'db_table': 'delivery_event',
                    },
                ),
                migrations.CreateModel(
                    name='InboxSeen',
                    fields=[
                        ('pk', models.CompositePrimaryKey('published_at', 'digest', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('published_at', models.DateTimeField()),
                        ('digest', models.BinaryField(max_length=16)),
                    ],
                    options={
                        'db_table': 'delivery_inbox_seen',
                    },
                ),
            ],
        ),
    ]
