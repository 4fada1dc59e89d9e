from __future__ import annotations

from django.db.models import Count

from organizations.models import SystemEmail


def count_system_emails() -> dict[str, int]:
    """How many letters of the last month are in each state that any is in."""
    rows = SystemEmail.objects.values_list("state").annotate(n=Count("pk")).order_by("state")
    return dict(rows)


def latest_system_emails(limit: int) -> list[SystemEmail]:
    """The newest first, of every organization: for whoever runs the installation."""
    return list(SystemEmail.objects.select_related("organization").order_by("-pk")[:limit])
