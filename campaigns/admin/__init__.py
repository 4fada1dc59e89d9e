"""Pages of campaigns and templates in the admin. Importing them registers their routes."""

from campaigns.admin import confirming, home, listing, live, preview, steps, templates, trying

__all__ = ["confirming", "home", "listing", "live", "preview", "steps", "templates", "trying"]
