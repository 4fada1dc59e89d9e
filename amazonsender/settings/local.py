"""The embedded default: `make demo`, `make run`. Nothing here may reach anything real by itself."""

from amazonsender.settings.base import *  # noqa: F403
from amazonsender.settings.base import env
from amazonsender.settings.gate import refuse_mistakes

refuse_mistakes(env, globals())
