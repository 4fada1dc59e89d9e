"""Who would get it, who would not, and why: the launch's own rule, counted before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from delivery.models import ExclusionReason
from delivery.selectors.exclusions import candidates_sql
from organizations.models import Organization


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a mailout is for. No lists mean nobody, never everybody."""

    list_ids: tuple[int, ...]
    excluded_list_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """candidates = eligible + all of by_reason. duplicates: standings beyond one per person, over several lists."""

    candidates: int = 0
    eligible: int = 0
    by_reason: dict[ExclusionReason, int] = field(default_factory=dict)
    duplicates: int = 0
    has_sample_people: bool = False


@dataclass(frozen=True, slots=True)
class AudiencePerson:
    subscriber_id: int
    email: str
    name: str
    reason: ExclusionReason


def _params(organization: Organization, audience: Audience) -> dict[str, Any]:
    return {
        "organization": organization.pk,
        "lists": list(audience.list_ids),
        "excluded_lists": list(audience.excluded_list_ids),
    }


def _candidates(audience: Audience) -> str:
    return candidates_sql(has_one_list=len(audience.list_ids) == 1, has_excluded_lists=bool(audience.excluded_list_ids))


def count_audience(*, organization: Organization, audience: Audience) -> AudienceCount:
    """Count an audience by reason: about half a second for a million people. No lists: nobody."""
    if not audience.list_ids:
        return AudienceCount()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT reason, count(*), bool_or(is_sample) FROM ({_candidates(audience)}) c GROUP BY reason",
            _params(organization, audience),
        )
        rows = cursor.fetchall()
        standings = 0
        if len(audience.list_ids) > 1:
            cursor.execute(
                "SELECT count(*) FROM subscribers_subscription WHERE organization_id = %s AND list_id = ANY(%s)",
                [organization.pk, list(audience.list_ids)],
            )
            standings = cursor.fetchone()[0]
    counts = {ExclusionReason(reason): count for reason, count, _ in rows}
    candidates = sum(counts.values())
    return AudienceCount(
        candidates=candidates,
        eligible=counts.pop(ExclusionReason.NONE, 0),
        by_reason=dict(sorted(counts.items())),
        duplicates=max(0, standings - candidates),
        has_sample_people=any(is_sample for reason, _, is_sample in rows if reason == ExclusionReason.NONE),
    )


def eligible_by_time_zone(*, organization: Organization, audience: Audience) -> list[tuple[str, int]]:
    """How many of those who get it live in each time zone, as stored; "" for nobody knows."""
    if not audience.list_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT time_zone, count(*) FROM ({_candidates(audience)}) c WHERE reason = 0 GROUP BY time_zone",
            _params(organization, audience),
        )
        return [(zone, people) for zone, people in cursor.fetchall()]


def list_audience(
    *,
    organization: Organization,
    audience: Audience,
    reason: ExclusionReason = ExclusionReason.NONE,
    after: int = 0,
    limit: int = 50,
) -> list[AudiencePerson]:
    """Some people of an audience with one fate, by subscriber id; NONE lists those who get it."""
    if not audience.list_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id, email, first_name, last_name, reason FROM ({_candidates(audience)}) c
             WHERE reason = %(reason)s AND id > %(after)s ORDER BY id LIMIT %(limit)s
            """,
            _params(organization, audience) | {"reason": int(reason), "after": after, "limit": limit},
        )
        return [
            AudiencePerson(row[0], row[1], f"{row[2]} {row[3]}".strip(), ExclusionReason(row[4]))
            for row in cursor.fetchall()
        ]
