"""Why somebody gets no email: one rule in SQL, used for the count before, at launch, and again before arming."""

from __future__ import annotations

from delivery.models import ExclusionReason as Reason


def _reason_case(suppressed: str) -> str:
    """The rule. Aliases: `s` the subscriber, `a` the standing on the chosen lists; `suppressed` is an SQL condition."""
    return f"""
CASE
    WHEN s.status = 'complained' THEN {Reason.COMPLAINED.value}
    WHEN s.status = 'bounced' THEN {Reason.BOUNCED.value}
    WHEN {suppressed} THEN {Reason.SUPPRESSED.value}
    WHEN s.status = 'unsubscribed' THEN {Reason.UNSUBSCRIBED.value}
    WHEN NOT a.subscribed AND a.pending THEN {Reason.UNCONFIRMED.value}
    WHEN NOT a.subscribed THEN {Reason.UNSUBSCRIBED.value}
    WHEN a.is_excluded THEN {Reason.EXCLUDED_LIST.value}
    ELSE 0
END"""


# Uncorrelated, so that PostgreSQL hashes it once for a whole audience.
_SUPPRESSED_AMONG_MANY = """
    s.address_key IN (SELECT p.address_key FROM subscribers_suppression p
                       WHERE (p.organization_id = %(organization)s OR p.organization_id IS NULL) AND p.scope <> 'list'
                         AND (p.expires_at IS NULL OR p.expires_at > now()))
    OR (s.address_key, a.list_id) IN (SELECT p.address_key, p.list_id FROM subscribers_suppression p
                       WHERE p.organization_id = %(organization)s AND p.scope = 'list'
                         AND (p.expires_at IS NULL OR p.expires_at > now()))"""

# Correlated: a few people, each found by index.
_SUPPRESSED_AMONG_FEW = """
    EXISTS (SELECT 1 FROM subscribers_suppression p
             WHERE p.address_key = s.address_key AND (p.organization_id = s.organization_id OR p.organization_id IS NULL)
               AND (p.scope <> 'list' OR p.list_id = a.list_id) AND (p.expires_at IS NULL OR p.expires_at > now()))"""

_ON_EXCLUDED_LIST = """EXISTS (SELECT 1 FROM subscribers_subscription x WHERE x.subscriber_id = u.subscriber_id
             AND x.list_id = ANY(%(excluded_lists)s) AND x.state = 'subscribed')"""


def _standing(*, has_one_list: bool, has_excluded_lists: bool) -> str:
    is_excluded = _ON_EXCLUDED_LIST if has_excluded_lists else "false"
    if has_one_list:  # no grouping: half of the time at a million
        return f"""
    SELECT u.subscriber_id, u.list_id, u.state = 'subscribed' AS subscribed, u.state = 'pending' AS pending,
           {is_excluded} AS is_excluded
      FROM subscribers_subscription u WHERE u.list_id = ANY(%(lists)s)"""
    return f"""
    SELECT u.subscriber_id, COALESCE(min(u.list_id) FILTER (WHERE u.state = 'subscribed'), min(u.list_id)) AS list_id,
           bool_or(u.state = 'subscribed') AS subscribed, bool_or(u.state = 'pending') AS pending,
           bool_or({is_excluded}) AS is_excluded
      FROM subscribers_subscription u WHERE u.list_id = ANY(%(lists)s) GROUP BY u.subscriber_id"""


def candidates_sql(*, has_one_list: bool, has_excluded_lists: bool) -> str:
    """Everybody with a standing on the chosen lists, with the reason (0: eligible).

    Parameters: organization, lists, excluded_lists. Somebody on several lists is one candidate, and eligible when
    subscribed to any of them.
    """
    return f"""
SELECT s.id, s.domain_id, a.list_id, s.address_key, s.email, s.first_name, s.last_name, s.time_zone, s.is_sample,
       {_reason_case(_SUPPRESSED_AMONG_MANY)} AS reason
  FROM ({_standing(has_one_list=has_one_list, has_excluded_lists=has_excluded_lists)}) a
  JOIN subscribers_subscriber s ON s.id = a.subscriber_id AND s.organization_id = %(organization)s"""


def recheck_sql() -> str:
    """(subscriber id, reason) of some people against the audience of a mailout. Parameters: mailout, ids."""
    return f"""
SELECT s.id, {_reason_case(_SUPPRESSED_AMONG_FEW)} AS reason
  FROM subscribers_subscriber s
  JOIN delivery_mailout m ON m.id = %(mailout)s
  CROSS JOIN LATERAL (
      SELECT cardinality(m.list_ids) = 0 OR COALESCE(bool_or(u.state = 'subscribed') FILTER (WHERE u.list_id = ANY(m.list_ids)), false)
                 AS subscribed,
             COALESCE(bool_or(u.state = 'pending') FILTER (WHERE u.list_id = ANY(m.list_ids)), false) AS pending,
             COALESCE(bool_or(u.state = 'subscribed') FILTER (WHERE u.list_id = ANY(m.excluded_list_ids)), false) AS is_excluded,
             COALESCE(min(u.list_id) FILTER (WHERE u.list_id = ANY(m.list_ids) AND u.state = 'subscribed'), 0) AS list_id
        FROM subscribers_subscription u WHERE u.subscriber_id = s.id
  ) a
 WHERE s.id = ANY(%(ids)s)"""
