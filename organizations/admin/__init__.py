from organizations.admin import api_keys, settings, switching, team

__all__ = ["api_keys", "settings", "switching", "team"]
