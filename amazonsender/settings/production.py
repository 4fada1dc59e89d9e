"""A server. System checks refuse to start with a dangerous configuration (amazonsender/checks.py)."""

from amazonsender.core.system_email import BACKENDS
from amazonsender.settings.base import *  # noqa: F403
from amazonsender.settings.base import LOCALSES_URL, SYSTEM_EMAIL_PROVIDER, TRUSTED_PROXIES, env
from amazonsender.settings.gate import refuse_mistakes

DEBUG = False
IS_SERVER = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_NAME = "__Host-csrf"
# Readers' and providers' POSTs must never meet a redirect (RFC 8058), so the proxy does it, or nobody.
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = env.int(
    "HSTS_SECONDS", default=31_536_000, minimum=0, help="Strict-Transport-Security; 0 turns it off."
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
if not (env.given("SYSTEM_EMAIL_PROVIDER") or LOCALSES_URL):
    SYSTEM_EMAIL_PROVIDER = "none"  # nobody chose the console, where one-time links would stand in the log
    EMAIL_BACKEND = BACKENDS[SYSTEM_EMAIL_PROVIDER]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = False

refuse_mistakes(env, globals())
