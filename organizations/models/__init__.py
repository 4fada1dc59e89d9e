from organizations.models.audit import AuditEntry
from organizations.models.organization import Member, Organization, Role
from organizations.models.scoped import OrganizationQuerySet
from organizations.models.user import SignInLink, User

__all__ = ["AuditEntry", "Member", "Organization", "OrganizationQuerySet", "Role", "SignInLink", "User"]
