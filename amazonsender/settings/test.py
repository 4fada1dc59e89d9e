"""Tests: real PostgreSQL, everything else in the process unless a test starts it."""

import os

os.environ.setdefault("AMAZONSENDER_IGNORE_DOTENV", "1")
os.environ.setdefault("SECRET_KEY", "tests-only-" + "x" * 40)
os.environ.setdefault("TOKEN_KEYS", "2:" + "ab" * 32 + ",1:" + "cd" * 32)

from amazonsender.settings.base import *  # noqa: F403
from amazonsender.settings.base import env
from amazonsender.settings.gate import refuse_mistakes

PUBLIC_URL = "http://testserver"
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SYSTEM_EMAIL_PROVIDER = "console"  # the runner keeps mail in the process anyway
# LocMem counts per process, which is all that a test of a throttle needs.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]
CELERY_TASK_ALWAYS_EAGER = False
# Celery prefers this variable to the setting: with real services given, a test's tasks would go to the real broker.
os.environ.pop("CELERY_BROKER_URL", None)
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS = {}
WHITENOISE_AUTOREFRESH = True  # no folder of collected files in tests

refuse_mistakes(env, globals())
