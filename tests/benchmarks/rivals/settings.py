"""Production settings, with what the rivals' documentation says to add."""

import os
from typing import Any

from amazonsender.settings.production import *  # noqa: F403
from amazonsender.settings.production import DATABASES, INSTALLED_APPS

SES_CLIENT: dict[str, Any] = {
    "region_name": "us-east-1",
    "endpoint_url": os.environ["SES_ENDPOINT_URL"],
    "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
}

INSTALLED_APPS = [*INSTALLED_APPS, "post_office"]

# post_office forks while it is connected, and closes connections rather than pools: Django's default, no pool.
DATABASES["default"].pop("OPTIONS", None)
DATABASES["default"]["CONN_MAX_AGE"] = 0

# post_office, README: "Settings". BATCH_SIZE 100, THREADS_PER_PROCESS 5 and LOG_LEVEL 2 are the defaults. Larger
# batches are faster, since each of its threads makes a client of its own for each batch, and repeat more when killed.
POST_OFFICE = {
    "BACKENDS": {"default": "django_ses.SESBackend"},
    "BATCH_SIZE": int(os.environ.get("POST_OFFICE_BATCH_SIZE", "100")),
}

# django-ses, README: "Full List of Settings". The newer API is the cheaper one; automatic throttling is off as the
# README says for senders who have a limit of their own.
AWS_SES_REGION_NAME = SES_CLIENT["region_name"]
AWS_SES_REGION_ENDPOINT_URL = SES_CLIENT["endpoint_url"]
AWS_SES_ACCESS_KEY_ID = SES_CLIENT["aws_access_key_id"]
AWS_SES_SECRET_ACCESS_KEY = SES_CLIENT["aws_secret_access_key"]
AWS_SES_AUTO_THROTTLE = None
USE_SES_V2 = True

# django-anymail, documentation: "Amazon SES", "Settings".
ANYMAIL = {"AMAZON_SES_CLIENT_PARAMS": SES_CLIENT}

EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["SMTP_SINK_PORT"])
EMAIL_USE_TLS = False
EMAIL_USE_SSL = False
EMAIL_HOST_USER = ""
EMAIL_HOST_PASSWORD = ""
