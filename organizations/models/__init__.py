from organizations.models.api_key import ApiKey, IdempotentAnswer
from organizations.models.audit import AuditEntry
from organizations.models.invitation import Invitation
from organizations.models.organization import Member, Organization, Role
from organizations.models.scoped import OrganizationQuerySet
from organizations.models.system_email import SystemEmail, SystemEmailPurpose, SystemEmailState
from organizations.models.user import SignInLink, User

__all__ = [
    "ApiKey",
    "AuditEntry",
    "IdempotentAnswer",
    "Invitation",
    "Member",
    "Organization",
    "OrganizationQuerySet",
    "Role",
    "SignInLink",
    "SystemEmail",
    "SystemEmailPurpose",
    "SystemEmailState",
    "User",
]
