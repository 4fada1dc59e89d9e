"""Pages of sending accounts and messages in the admin. Importing them registers their routes."""

from delivery.admin import accounts, connecting, domains, messages, setting_up, statistics, unanswered

__all__ = ["accounts", "connecting", "domains", "messages", "setting_up", "statistics", "unanswered"]
