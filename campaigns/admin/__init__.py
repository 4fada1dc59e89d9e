"""Pages of campaigns and templates in the admin. Importing them registers their routes."""

from campaigns.admin import confirming, controlling, home, listing, live, preview, steps, templates, trying

__all__ = ["confirming", "controlling", "home", "listing", "live", "preview", "steps", "templates", "trying"]
