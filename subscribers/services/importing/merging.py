"""Merging one chunk of the staging table: one transaction, one statement, and an account that adds up.

What an import may never do is written into the statement itself: it sets no status, it changes no subscription that is
there, and it puts nobody on a list who had left everything, bounced or complained.

Costs 20 µs of PostgreSQL per new person on a list (subscriber, subscription, consent record, eight index entries, three
foreign keys). Addresses come in the order of the index, which keeps its pages in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from psycopg import errors, sql

from subscribers.models import ConsentRecord, Import, ImportChunk, ImportMode, Suppression
from subscribers.services.importing.claiming import renew_lease
from subscribers.services.importing.staging import table_of

NOT_HERE = "not_here"
MAX_STORED_REJECTS = 10_000
_ATTEMPTS = 6
# The planner knows nothing of a table that fills while it plans; every join here is a look-up by an index.
_PLANNER = (
    "SET LOCAL jit = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    " SET LOCAL enable_seqscan = off; SET LOCAL work_mem = '32MB'; SET LOCAL synchronous_commit = off"
)


@dataclass(frozen=True)
class ChunkAccount:
    """What became of a chunk's rows."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    duplicates: int
    kept_out: dict[str, int] = field(default_factory=dict)


def merge_chunk(run: Import, chunk: ImportChunk) -> ChunkAccount | None:
    """Merge the chunk unless that is done; return its account, or None if somebody else was faster.

    Another writer may create the same person between our look and our insert, or lock in our way: the transaction is
    rolled back whole and tried again. Raises LostClaimError when the import is no longer ours.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _merge_in_dry_run(run, chunk) if run.is_dry_run else _merge(run, chunk)
        except (IntegrityError, OperationalError) as error:
            passing = isinstance(error.__cause__, errors.UniqueViolation | errors.DeadlockDetected)
            if not passing or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def _merge(run: Import, chunk: ImportChunk) -> ChunkAccount | None:
    with connection.cursor() as cursor:
        cursor.execute(_PLANNER)
    account = _execute(run, chunk)
    return account if _finish(run, chunk, account) else None


def _merge_in_dry_run(run: Import, chunk: ImportChunk) -> ChunkAccount | None:
    """Do everything, count it, and take it back: the one way to a preview that is exact."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_PLANNER)
            cursor.execute(
                sql.SQL(
                    "INSERT INTO subscribers_domain (name) SELECT DISTINCT domain FROM {table}"
                    " WHERE key > %s AND key <= %s ORDER BY domain ON CONFLICT (name) DO NOTHING"
                ).format(table=table_of(run.pk)),
                [chunk.after, chunk.up_to],
            )
        account = _execute(run, chunk)
        transaction.set_rollback(True)
    with transaction.atomic():
        return account if _finish(run, chunk, account) else None


def _finish(run: Import, chunk: ImportChunk, account: ChunkAccount) -> bool:
    """Book the account and renew the lease, in the transaction of the merge itself.

    The import's row is locked last and for the commit alone, since every connection of the import passes here; foreign
    keys are therefore checked before.
    """
    booked = ImportChunk.objects.filter(pk=chunk.pk, merged_at__isnull=True).update(
        merged_at=Now(),
        created=account.created,
        updated=account.updated,
        unchanged=account.unchanged,
        rejected=account.rejected,
        duplicates=account.duplicates,
        kept_out=account.kept_out,
    )
    if not booked:
        transaction.set_rollback(True)
        return False
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    renew_lease(run)
    return True


def _execute(run: Import, chunk: ImportChunk) -> ChunkAccount:
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(run, has_suppressions=_has_suppressions(run)),
            {
                "import": run.pk,
                "organization": run.organization_id,
                "list": run.list_id,
                "after": chunk.after,
                "up_to": chunk.up_to,
                "tags": run.tags,
                "is_sample": run.is_sample,
                "method": ConsentRecord.Method.SAMPLE if run.is_sample else ConsentRecord.Method.IMPORT,
                "source": run.file_name[:300],
                "text": run.consent_text,
                "max_rejects": MAX_STORED_REJECTS,
            },
        )
        row = cursor.fetchone()
    rows, staged, held, created, updated, rejected, *kept = row
    reasons = ("unsubscribed", "bounced", "complained", "left_list", "suppressed")
    return ChunkAccount(
        created=created,
        updated=updated,
        unchanged=held - updated,
        rejected=rejected,
        duplicates=staged - rows,
        kept_out={reason: count for reason, count in zip(reasons, kept, strict=True) if count},
    )


def _has_suppressions(run: Import) -> bool:
    """Say whether the look-up per row can be left out: most imports fill an organization that has none yet."""
    mine = Q(organization_id=run.organization_id) | Q(organization_id__isnull=True)
    return Suppression.objects.filter(mine).exists()


def _statement(run: Import, *, has_suppressions: bool) -> sql.Composed:
    has_list = run.list_id is not None
    adds = run.mode in (ImportMode.ADD, ImportMode.ADD_AND_UPDATE)
    updates = run.mode in (ImportMode.UPDATE, ImportMode.ADD_AND_UPDATE)
    joined = sql.SQL(_JOINED).format(joining=sql.SQL(_JOINING if updates else ""))
    return sql.SQL(_TEMPLATE).format(
        table=table_of(run.pk),
        suppressed=sql.SQL(_SUPPRESSED if has_suppressions else "SELECT false AS suppressed"),
        list_state=sql.SQL(_LIST_STATE if has_list else "SELECT NULL AS state"),
        changed=sql.SQL(_CHANGED if updates else "SELECT NULL::bigint AS id WHERE false"),
        fresh=sql.SQL(_FRESH if adds else "SELECT NULL::bigint AS id WHERE false"),
        joined=joined if has_list else sql.SQL("SELECT id AS subscriber_id FROM fresh WHERE false"),
        consented=sql.SQL(_CONSENTED if has_list else "SELECT 1 WHERE false"),
        refused=sql.SQL("SELECT 1 WHERE false" if adds else _REFUSED),
        refused_count=sql.SQL("0" if adds else "(SELECT count(*) FROM incoming WHERE old_id IS NULL)"),
    )


# OFFSET 0 keeps the planner from turning a look-up by index into a join over the whole table.
_TEMPLATE = """
WITH staged AS MATERIALIZED (
  SELECT line, key, email, domain, first_name, last_name, locale, time_zone, attributes,
         coalesce(tags, '{{}}') || %(tags)s::varchar[] AS tags
  FROM {table} WHERE key > %(after)s AND key <= %(up_to)s
), incoming AS MATERIALIZED (
  SELECT t.*, d.id AS domain_id, s.id AS old_id, x.suppressed
  FROM (SELECT DISTINCT ON (key) * FROM staged ORDER BY key, line OFFSET 0) t
  JOIN subscribers_domain d ON d.name = t.domain
  LEFT JOIN LATERAL (
    SELECT id FROM subscribers_subscriber
    WHERE organization_id = %(organization)s AND address_key = t.key OFFSET 0
  ) s ON true
  LEFT JOIN LATERAL ({suppressed}) x ON true
), held AS MATERIALIZED (
  SELECT i.*, s.id, s.status, b.state
  FROM (SELECT * FROM incoming WHERE old_id IS NOT NULL ORDER BY old_id OFFSET 0) i
  CROSS JOIN LATERAL (
    SELECT id, status FROM subscribers_subscriber WHERE id = i.old_id FOR NO KEY UPDATE
  ) s
  LEFT JOIN LATERAL ({list_state}) b ON true
), changed AS (
  {changed}
), fresh AS (
  {fresh}
), joined AS (
  {joined}
), consented AS (
  {consented}
), refused AS (
  {refused}
), counted AS (
  SELECT count(*) AS held,
    count(*) FILTER (WHERE id IN (SELECT id FROM changed) OR id IN (SELECT subscriber_id FROM joined)) AS updated,
    count(*) FILTER (WHERE status = 'unsubscribed') AS unsubscribed,
    count(*) FILTER (WHERE status = 'bounced') AS bounced,
    count(*) FILTER (WHERE status = 'complained') AS complained,
    count(*) FILTER (WHERE status = 'active' AND state IS NOT NULL AND state <> 'subscribed') AS left_list,
    count(*) FILTER (
      WHERE status = 'active' AND suppressed AND coalesce(state, 'subscribed') = 'subscribed'
    ) AS suppressed
  FROM held
)
SELECT (SELECT count(*) FROM incoming),
       (SELECT count(*) FROM staged),
       c.held, (SELECT count(*) FROM fresh), c.updated, {refused_count},
       c.unsubscribed, c.bounced, c.complained, c.left_list,
       c.suppressed + (SELECT count(*) FROM incoming WHERE old_id IS NULL AND suppressed AND {refused_count} = 0)
FROM counted c
"""
_SUPPRESSED = """
    SELECT true AS suppressed FROM subscribers_suppression
    WHERE address_key = t.key
      AND (organization_id = %(organization)s OR organization_id IS NULL)
      AND (scope <> 'list' OR list_id = %(list)s)
      AND (expires_at IS NULL OR expires_at > now())
    LIMIT 1"""
_LIST_STATE = (
    "SELECT state FROM subscribers_subscription WHERE list_id = %(list)s AND subscriber_id = i.old_id OFFSET 0"
)
_CHANGED = """
  UPDATE subscribers_subscriber s SET
    first_name = coalesce(h.first_name, s.first_name), last_name = coalesce(h.last_name, s.last_name),
    locale = coalesce(h.locale, s.locale), time_zone = coalesce(h.time_zone, s.time_zone),
    attributes = s.attributes || coalesce(h.attributes, '{}'),
    tags = s.tags || ARRAY(SELECT DISTINCT tag FROM unnest(h.tags) tag WHERE tag <> ALL (s.tags)),
    updated_at = now()
  FROM held h
  WHERE s.id = h.id AND (
    h.first_name <> s.first_name OR h.last_name <> s.last_name OR h.locale <> s.locale OR h.time_zone <> s.time_zone
    OR s.attributes || coalesce(h.attributes, '{}') <> s.attributes OR NOT s.tags @> h.tags)
  RETURNING s.id"""
_FRESH = """
  INSERT INTO subscribers_subscriber (organization_id, email, address_key, domain_id, first_name, last_name, locale,
    time_zone, attributes, tags, status, is_sample, created_at, updated_at)
  SELECT %(organization)s, email, key, domain_id, coalesce(first_name, ''), coalesce(last_name, ''),
    coalesce(locale, ''), coalesce(time_zone, ''), coalesce(attributes, '{}'),
    CASE WHEN cardinality(tags) > 1 THEN ARRAY(SELECT DISTINCT unnest(tags)) ELSE tags END,
    'active', %(is_sample)s, now(), now()
  FROM incoming WHERE old_id IS NULL
  RETURNING id"""
_JOINED = """
  INSERT INTO subscribers_subscription (organization_id, list_id, subscriber_id, state, changed_at)
  SELECT %(organization)s, %(list)s, p.id, 'subscribed', now() FROM (
    SELECT id FROM fresh
    {joining}
  ) p
  RETURNING subscriber_id"""
_JOINING = "UNION ALL SELECT id FROM held WHERE status = 'active' AND state IS NULL"
_CONSENTED = """
  INSERT INTO subscribers_consentrecord (organization_id, subscriber_id, list_id, action, method, at, source, text,
    reason, user_agent)
  SELECT %(organization)s, subscriber_id, %(list)s, 'opt_in', %(method)s, now(), %(source)s, %(text)s, '', ''
  FROM joined"""
_REFUSED = """
  INSERT INTO subscribers_importreject (import_run_id, line, reason, detail, row)
  SELECT %(import)s, line, 'not_here', '', jsonb_build_array(email) FROM incoming WHERE old_id IS NULL
  LIMIT greatest(0, %(max_rejects)s
    - (SELECT count(*) FROM subscribers_importreject WHERE import_run_id = %(import)s))"""
