from organizations.models.api_key import ApiKey, IdempotentAnswer
from organizations.models.audit import AuditEntry
from organizations.models.organization import Member, Organization, Role
from organizations.models.scoped import OrganizationQuerySet
from organizations.models.user import SignInLink, User

__all__ = [
    "ApiKey",
    "AuditEntry",
    "IdempotentAnswer",
    "Member",
    "Organization",
    "OrganizationQuerySet",
    "Role",
    "SignInLink",
    "User",
]
