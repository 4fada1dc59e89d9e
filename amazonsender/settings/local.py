"""The embedded default: `make demo`, `make run`. Nothing here may reach anything real by itself."""

from amazonsender.settings.base import *  # noqa: F403
