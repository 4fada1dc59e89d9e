"""Settings that every environment shares. Each variable is declared here with its meaning; see docs/settings.md."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from amazonsender.core.databases import database_settings
from amazonsender.core.env import Env
from amazonsender.core.logging import logging_settings
from amazonsender.core.system_email import BACKENDS, DEFAULT_SENDER, encoded_mailbox, parse_smtp_url

BASE_DIR = Path(__file__).resolve().parent.parent.parent

env = Env()
if (BASE_DIR / ".env").exists() and os.environ.get("AMAZONSENDER_IGNORE_DOTENV") != "1":
    env.load_file(BASE_DIR / ".env")

env.section("General")
SECRET_KEY = env.str(
    "SECRET_KEY", secret=True, help="Signs sessions and forms. 50 random characters; changing it signs everybody out."
)
SECRET_KEY_FALLBACKS = env.list(
    "SECRET_KEY_FALLBACKS",
    default=(),
    secret=True,
    help="Former SECRET_KEYs: sessions, and secrets of sending accounts that were sealed with them, stay readable.",
)
TOKEN_KEYS = env.list(
    "TOKEN_KEYS",
    secret=True,
    example="1:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
    help=(
        "Keys of the tokens in sent mail as number:hex, newest first. Keep old ones for years: "
        "unsubscribe links in mail that is already out are checked with them."
    ),
)
ENVIRONMENT = env.str("ENVIRONMENT", default="local", help="Name of this installation in logs and error reports.")
DEBUG = env.bool("DEBUG", default=False, help="Django's debug pages. Never on a server.")
DATA_DIR = (
    env.path("DATA_DIR", default=BASE_DIR / ".data", help="Folder for uploads and embedded services.")
    or BASE_DIR / ".data"
)

IS_SERVER = False  # the production settings turn it on; system checks are strict there

env.section("Addresses")
PUBLIC_URL = env.url(
    "PUBLIC_URL",
    default="http://127.0.0.1:8000",
    example="https://mail.example.com",
    help="How readers reach this installation; it stands in every link of every email, so never change it lightly.",
)
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"], help="Host names that the web server answers to."
)
CSRF_TRUSTED_ORIGINS = env.list(
    "CSRF_TRUSTED_ORIGINS", default=[], help="Origins of the admin behind a proxy, as https://host."
)
TRUSTED_PROXIES = env.int(
    "TRUSTED_PROXIES",
    default=0,
    minimum=0,
    help="Proxies before the web server whose X-Forwarded-For and -Proto are believed.",
)
TRUSTED_PROXY_NETWORKS = env.list(
    "TRUSTED_PROXY_NETWORKS",
    default=(),
    example="10.0.0.0/8",
    help="Networks of those proxies. Set, whoever else reaches the web server is its own address, whatever it writes.",
)
PROXY_HEADER = env.str(
    "PROXY_HEADER",
    default="x-forwarded-for",
    choices=("x-forwarded-for", "forwarded"),
    help="In which header the proxies write the client's address: X-Forwarded-For, or RFC 7239's Forwarded.",
)
API_REQUESTS_PER_MINUTE = env.int(
    "API_REQUESTS_PER_MINUTE", default=1200, minimum=1, help="Requests that each API key may make in a minute."
)

env.section("Services")
DATABASE_URL = env.url(
    "DATABASE_URL",
    schemes=("postgresql", "postgres"),
    secret=True,
    form=r"[^:]+://[^?#]*/[^/?#]+.*",  # names a database
    default="postgresql://postgres@127.0.0.1:5432/amazonsender",
    example="postgresql://user:password@db.example.com:5432/amazonsender",
    help="PostgreSQL 15 or newer.",
)
WEB_THREADS = env.int(
    "WEB_THREADS",
    default=16,
    minimum=1,
    help="Requests that each web process works on at once, with a connection to PostgreSQL each. --blocking-threads of"
    " Granian is 24 more: they wait for bodies.",
)
BODY_SECONDS = env.int(
    "BODY_SECONDS",
    default=20,
    minimum=1,
    help="For a request's body to come in, or longer while 4 KB a second do. Then its connection is shut (on Linux).",
)
DB_POOL = env.bool(
    "DB_POOL", default=False, help="Keep a pool of connections in each web process (psycopg's). Off behind PgBouncer."
)
DB_POOL_SIZE = env.int("DB_POOL_SIZE", default=8, minimum=1, help="Connections in the pool of each process.")
CELERY_BROKER_URL = env.url(
    "CELERY_BROKER_URL",
    schemes=("redis", "rediss", "amqp", "amqps", "sqs", "redis+socket", "memory"),
    several=True,
    secret=True,
    default="redis://127.0.0.1:6379/0",
    help="Broker that wakes the workers: Redis, Valkey, RabbitMQ or SQS. Losing it loses nothing.",
)
CACHE_URL = env.url(
    "CACHE_URL",
    schemes=("redis", "rediss"),
    secret=True,
    default="redis://127.0.0.1:6379/1",
    help="Redis or Valkey for the cache and the throttles.",
)

env.section("Sending")
SENDING_MODE = env.str(
    "SENDING_MODE",
    default="live",
    choices=("live", "dry_run"),
    help="dry_run: every mailout of the whole installation only simulates.",
)
ENGINE_SLOTS = env.int(
    "ENGINE_SLOTS", default=2, minimum=1, help="Engine loops that may run at once, over all machines."
)
LOCALSES_URL = env.url(
    "LOCALSES_URL", default="", help="Address of Local SES. Empty on a server that sends to real people."
)
LOCALSES_CERTIFICATE = env.path(
    "LOCALSES_CERTIFICATE",
    default=None,
    help="File with the certificate of Local SES; pinned for its messages, and only for those.",
)
LOCALSES_ACCESS_KEY = env.str("LOCALSES_ACCESS_KEY", default="localses", help="Access key of Local SES.")
LOCALSES_SECRET_KEY = env.str(
    "LOCALSES_SECRET_KEY", default="localses-secret", secret=True, help="Secret key of Local SES."
)
SES_ENDPOINT_URL = env.url(
    "SES_ENDPOINT_URL", default="", help="Another endpoint of Amazon SES, such as a VPC or FIPS one. Usually empty."
)

DNS_RESOLVERS = env.list(
    "DNS_RESOLVERS",
    default=(),
    example="192.0.2.53,[2001:db8::53]:5353",
    help="DNS servers that the records of sending domains are looked up at. Empty: those of the machine.",
)

env.section("Events")
EVENT_QUEUE_URLS = env.list(
    "EVENT_QUEUE_URLS",
    default=(),
    example="https://sqs.eu-central-1.amazonaws.com/123456789012/amazonsender",
    help="SQS queues that bring the provider's events, polled by `poll_events`. Needs no public address.",
)
EVENT_QUEUE_CONNECTIONS = env.int(
    "EVENT_QUEUE_CONNECTIONS", default=4, minimum=1, help="Connections that poll each queue at once."
)
FIREHOSE_ACCESS_KEYS = env.list(
    "FIREHOSE_ACCESS_KEYS",
    default=(),
    secret=True,
    help="Keys of 32 or more characters by which Firehose is believed. Without one its address answers 404.",
)

env.section("Own mail")
SYSTEM_EMAIL_PROVIDER = env.str(
    "SYSTEM_EMAIL_PROVIDER",
    default="",
    choices=("ses", "smtp", "local", "console", "none"),
    help=(
        "What carries the product's own mail (invitations, links to a new password, notices): ses, smtp, local (Local SES), "
        "console, or none. Empty: local where LOCALSES_URL is set, otherwise console, and none with the production settings."
    ),
) or ("local" if LOCALSES_URL else "console")
SYSTEM_EMAIL_FROM = env.str(
    "SYSTEM_EMAIL_FROM",
    default="",
    example="AmazonSender <hello@example.com>",
    help="Sender of own mail. With ses its address or domain is verified there.",
)
SYSTEM_EMAIL_REGION = env.str(
    "SYSTEM_EMAIL_REGION", default="us-east-1", example="eu-central-1", help="Amazon's region that carries own mail."
)
SYSTEM_EMAIL_CONFIGURATION_SET = env.str(
    "SYSTEM_EMAIL_CONFIGURATION_SET", default="", help="Configuration set of own mail at Amazon. Usually empty."
)
SYSTEM_EMAIL_SMTP_URL = env.url(
    "SYSTEM_EMAIL_SMTP_URL",
    schemes=("smtp", "smtps", "smtp+plain"),
    secret=True,
    default="",
    example="smtp://user:password@smtp.example.com:587",
    help="Server of own mail with smtp: smtp:// with STARTTLS, smtps:// with TLS from the start, smtp+plain:// without.",
)

env.section("Watching")
LOG_LEVEL = env.str(
    "LOG_LEVEL", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="How much is logged."
)
LOG_FORMAT = env.str(
    "LOG_FORMAT", default="console", choices=("console", "json"), help="console for people, json for machines."
)
LOGGING = logging_settings(level=LOG_LEVEL, style=LOG_FORMAT)
METRICS_TOKEN = env.str(
    "METRICS_TOKEN",
    default="",
    secret=True,
    help="What Prometheus says in `Authorization: Bearer …` to read /metrics. 24 characters or more.",
)
METRICS_NETWORKS = env.list(
    "METRICS_NETWORKS",
    default=(),
    example="10.0.0.0/8,127.0.0.1",
    help="Networks from which /metrics may be read. With neither this nor METRICS_TOKEN nothing is measured.",
)
METRICS_DIR = (
    env.path("METRICS_DIR", default=DATA_DIR / "metrics", help="Where the processes of a machine keep their figures.")
    or DATA_DIR / "metrics"
)
OTEL_EXPORTER_OTLP_ENDPOINT = env.url(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    default="",
    example="http://127.0.0.1:4318",
    help="Collector that takes traces over OTLP/HTTP. Empty: none are made.",
)
TRACE_SAMPLE_RATE = env.float(
    "TRACE_SAMPLE_RATE", default=0.05, bounds=(0, 1), help="Share of requests that are traced, 0 to 1."
)
SENTRY_DSN = env.url(
    "SENTRY_DSN",
    form=r"[^:]+://[^:@/]+(:[^@/]*)?@[^@/]+/([^?#]*/)?[0-9]+/?",  # names a key and a project
    default="",
    secret=True,
    example="https://key@sentry.example.com/1",
    help="Where error reports go. Empty: nowhere.",
)
SENTRY_SAMPLE_RATE = env.float(
    "SENTRY_SAMPLE_RATE", default=1.0, bounds=(0, 1), help="Share of errors that are reported, 0 to 1."
)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the other one would put Unfold's own site in the place of ours
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "amazonsender.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "amazonsender.apps.ProjectConfig",
    "organizations",
    "subscribers",
    "delivery",
    "campaigns",
    "analytics",
    "webhooks",
]

MIDDLEWARE = [
    "amazonsender.core.middleware.RequestLogMiddleware",
    "amazonsender.core.health.HealthMiddleware",
    "amazonsender.metrics.MetricsMiddleware",
    "amazonsender.core.middleware.NulMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "amazonsender.limits.LimitMiddleware",
    "amazonsender.core.express.ExpressMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "organizations.middleware.OrganizationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
]

ROOT_URLCONF = "amazonsender.urls"
WSGI_APPLICATION = "amazonsender.wsgi.application"
AUTH_USER_MODEL = "organizations.User"
LOGIN_URL = "admin:login"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],  # before the app directories, so ours win over Unfold's
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["organizations.templatetags.ui"],
        },
    }
]

DATABASES = {"default": database_settings(DATABASE_URL, pool_size=DB_POOL_SIZE if DB_POOL else 0)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHE_TIMEOUT_SECONDS = 2  # a cache that hangs is a cache that is away; the engine asks it every second
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": "as",
        "OPTIONS": {"socket_connect_timeout": CACHE_TIMEOUT_SECONDS, "socket_timeout": CACHE_TIMEOUT_SECONDS},
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

PASSWORD_RESET_TIMEOUT = 3600  # seconds; the letter says "an hour"

EMAIL_BACKEND = BACKENDS[SYSTEM_EMAIL_PROVIDER]
DEFAULT_FROM_EMAIL = SERVER_EMAIL = encoded_mailbox(SYSTEM_EMAIL_FROM or DEFAULT_SENDER)
EMAIL_TIMEOUT = 5  # seconds for each step: who waits is the worker that ticks
(EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL) = parse_smtp_url(
    SYSTEM_EMAIL_SMTP_URL
)
# django-ses. Keys come from Amazon's own chain unless they are Local SES's; its throttle would sleep in the worker.
USE_SES_V2 = True
AWS_SES_AUTO_THROTTLE = None
AWS_SES_REGION_NAME = SYSTEM_EMAIL_REGION
AWS_SES_REGION_ENDPOINT_URL = SES_ENDPOINT_URL or f"https://email.{SYSTEM_EMAIL_REGION}.amazonaws.com"
AWS_SES_CONFIGURATION_SET = SYSTEM_EMAIL_CONFIGURATION_SET or None
if SYSTEM_EMAIL_PROVIDER == "local":
    AWS_SES_REGION_ENDPOINT_URL = LOCALSES_URL
    AWS_SES_ACCESS_KEY_ID, AWS_SES_SECRET_ACCESS_KEY = LOCALSES_ACCESS_KEY, LOCALSES_SECRET_KEY

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
FORMAT_MODULE_PATH = ["amazonsender.formats"]
LOCALE_PATHS = [BASE_DIR / "amazonsender" / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
USE_THOUSAND_SEPARATOR = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]  # before the app directories: ours win over Unfold's
WHITENOISE_USE_FINDERS = True

DATA_UPLOAD_MAX_MEMORY_SIZE = 3 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "style-src-attr": ["'unsafe-inline'"],  # bar widths
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "frame-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "amazonsender.scheduler:Scheduler"
# Without these two a broker that hangs, rather than being away, would hold for good whoever wakes a worker. Workers wait
# for a task by questions of a second, so that theirs are never cut.
BROKER_TIMEOUT_SECONDS = 5
CELERY_BROKER_TRANSPORT_OPTIONS = {"max_retries": 0}  # who wakes a worker tries once: the tick finds what is due anyway
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "visibility_timeout": 60,
        "unacked_restore_throttle": 1,
        "unacked_restore_interval": 5,
        "socket_timeout": BROKER_TIMEOUT_SECONDS,
        "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
    }
CELERY_TASK_ROUTES = {
    "delivery.tasks.run_slice": {"queue": "send"},
    "delivery.tasks.process_inbox": {"queue": "events"},
    "subscribers.tasks.run_import": {"queue": "imports"},
}

RATELIMIT_USE_CACHE = "default"
SILENCED_SYSTEM_CHECKS: list[str] = []

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "amazonsender.core.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "amazonsender.core.api.problems.handle",
    # Endpoints stand on organizations.api.views.ApiView, which sets its own; a view that forgets is closed.
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["amazonsender.core.api.parsers.JsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["amazonsender.core.api.parsers.JsonRenderer"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AmazonSender",
    "DESCRIPTION": "Email campaigns through your own Amazon SES account. How to begin: docs/api.md.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "CampaignState": "campaigns.api.serializers.STATE_NAMES",
        "MailoutState": "delivery.api.mailouts.STATE_NAMES",
        "MessageState": "delivery.api.messages.STATE_NAMES",
        "ExclusionReason": "delivery.api.messages.REASON_NAMES",
        "SubscriptionState": "subscribers.api.serializers.SUBSCRIPTION_STATES",
        "SuppressionReason": "subscribers.api.suppressions.REASONS",
    },
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "tryItOutEnabled": True, "defaultModelsExpandDepth": 0},
}

UNFOLD = {
    "SITE_TITLE": "AmazonSender",
    "SITE_HEADER": "AmazonSender",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    # Unfold prints colours in an inline <style>, which a strict policy refuses: the callback empties them
    # again and as.css carries the same variables.
    "GLOBAL_CALLBACK": "amazonsender.navigation.unfold_context",
    "STYLES": ["amazonsender.navigation.style_tokens", "amazonsender.navigation.style_pages"],
    "SCRIPTS": [
        "amazonsender.navigation.script_theme",
        "amazonsender.navigation.script_unfold_csp",
        "amazonsender.navigation.script_components",
    ],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "amazonsender.navigation.favicon"}],
    "COMMAND": {"show_history": True, "search_callback": "amazonsender.navigation.jump_results"},
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": "amazonsender.navigation.sidebar"},
}
