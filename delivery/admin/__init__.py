"""Pages of sending accounts and messages in the admin. Importing them registers their routes."""

from delivery.admin import accounts, messages

__all__ = ["accounts", "messages"]
