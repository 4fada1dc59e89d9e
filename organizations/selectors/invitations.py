from __future__ import annotations

from organizations.models import Invitation, Organization


def list_invitations(organization: Organization) -> list[Invitation]:
    """Open invitations with their letters, the newest first; those whose term is over, too: they can be sent again."""
    open_ones = Invitation.objects.for_organization(organization).filter(accepted_at=None, withdrawn_at=None)
    return list(open_ones.select_related("letter", "invited_by").order_by("-pk"))
