"""Settings of the attacked installation: those of a demo, and an app that shortens times and moves clocks."""

from amazonsender.settings.local import *  # noqa: F403
from amazonsender.settings.local import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.crash.apps.CrashConfig"]
