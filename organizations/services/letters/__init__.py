"""What the product writes to its own people, and how it looks."""

from organizations.services.letters.composing import Letter
from organizations.services.letters.purposes import (
    invitation_letter,
    new_password_letter,
    password_changed_letter,
    removed_letter,
    role_changed_letter,
    sign_in_letter,
)

__all__ = [
    "Letter",
    "invitation_letter",
    "new_password_letter",
    "password_changed_letter",
    "removed_letter",
    "role_changed_letter",
    "sign_in_letter",
]
