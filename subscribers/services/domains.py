"""Mail domains: a shared dictionary that only grows."""

from __future__ import annotations

from collections.abc import Iterable

from subscribers.models import Domain


def get_domain_ids(*, names: Iterable[str]) -> dict[str, int]:
    """Return the ids of domains in punycode, creating the missing ones; sorted, so that two callers never deadlock."""
    wanted = sorted(set(names))
    known = dict(Domain.objects.filter(name__in=wanted).values_list("name", "id"))
    missing = [name for name in wanted if name not in known]
    if missing:
        Domain.objects.bulk_create((Domain(name=name) for name in missing), ignore_conflicts=True)
        known.update(Domain.objects.filter(name__in=missing).values_list("name", "id"))
    return known
