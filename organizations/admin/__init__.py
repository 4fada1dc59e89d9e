from organizations.admin import settings, switching, team

__all__ = ["settings", "switching", "team"]
