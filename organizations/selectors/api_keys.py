"""Keys as the page shows them."""

from __future__ import annotations

from organizations.models import ApiKey, Organization


def list_api_keys(organization: Organization) -> list[ApiKey]:
    """All keys, those that open first, each part newest first."""
    keys = ApiKey.objects.for_organization(organization).select_related("created_by").order_by("-pk")
    return sorted(keys, key=lambda key: not key.is_open)
