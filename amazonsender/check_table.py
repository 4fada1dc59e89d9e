"""The product's own system checks by id, for docs/settings.md; a test compares it with the ids in the code."""

from __future__ import annotations

from typing import Final

from amazonsender.core.env_values import Mistake

# Of errors: why nothing starts. Of warnings and notes: what is worth knowing.
CHECKS: Final[dict[str, str]] = {
    "amazonsender.E001": "`SECRET_KEY` is short or monotonous",
    "amazonsender.E002": "`TOKEN_KEYS` is empty, or an entry is not number:hex, or two have the same number",
    "amazonsender.E003": "`DEBUG` is on, on a server",
    "amazonsender.E004": "`PUBLIC_URL` of a server leads to itself alone, or is not https",
    "amazonsender.E005": "`ALLOWED_HOSTS` of a server admits every name or none",
    "amazonsender.E006": "`ALLOWED_HOSTS` lacks the host of `PUBLIC_URL`",
    "amazonsender.E007": "`LOCALSES_URL` is set on a server",
    "amazonsender.E008": "`CELERY_BROKER_URL` of a server is a broker in memory",
    "amazonsender.E009": "`METRICS_NETWORKS` has an entry that is no network",
    "amazonsender.E010": "`METRICS_TOKEN` is short",
    "amazonsender.E011": "`METRICS_NETWORKS` lets strangers in",
    "amazonsender.E012": "`TRUSTED_PROXY_NETWORKS` has an entry that is no network",
    "amazonsender.E013": "what `SYSTEM_EMAIL_PROVIDER` needs is not set",
    "amazonsender.E014": "`SYSTEM_EMAIL_FROM` is no address",
    "amazonsender.E015": "`SYSTEM_EMAIL_PROVIDER` of a server is console",
    "amazonsender.E021": "`DNS_RESOLVERS` has an entry that is no DNS server",
    "amazonsender.E030": "`FIREHOSE_ACCESS_KEYS` has a short key",
    "amazonsender.E031": "`EVENT_QUEUE_URLS` has an address that is no queue's",
    Mistake.MISSING.value: "a required variable is not set",
    Mistake.NOT_A_NUMBER.value: "a number is none",
    Mistake.OUT_OF_RANGE.value: "a number is too small or too large",
    Mistake.NOT_A_CHOICE.value: "a word is none of those that the variable knows; for a switch, neither on nor off",
    Mistake.NOT_AN_ADDRESS.value: "an address or path is malformed, or of another kind than the variable takes",
    Mistake.UNREADABLE_FILE.value: "the file that `NAME_FILE` names can't be read",
    Mistake.GIVEN_TWICE.value: "both `NAME` and `NAME_FILE` are set",
    Mistake.MALFORMED_LINE.value: "a line of `.env` is not NAME=value",
    Mistake.UNREADABLE_SETTINGS.value: "`.env` is there and can't be read",
    "amazonsender.W001": "`DB_POOL` is on behind PgBouncer",
    "amazonsender.W002": "`TRUSTED_PROXIES` is 0 on a server",
    "amazonsender.W003": "`SYSTEM_EMAIL_PROVIDER` is none: the product's own mail has no way out",
    "amazonsender.W020": "nothing proves the reports of a sending account, so that they are not taken (with `check --database default`)",
    "amazonsender.I030": "no Firehose stream can bring events (with `check --deploy`)",
}

INTRODUCTION: Final = """## Checks

Nothing starts while there is an error: no web server, worker or scheduler, and no management command, except, with E001
to E031, the few of Django's that ask for no checks. What was to start ends with code 1 and says all errors at once, each
with its id and what to set, and never the value of a secret. `manage.py check` says them at any time, and warnings, too.
"On a server" means with the production settings.

| id | what is wrong |
|---|---|
"""


def render_checks() -> str:
    """Render the table of ids."""
    return INTRODUCTION + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in CHECKS.items())
