"""Which variables a demo, a run or a test sees: what it needs to run, and settings given by explicit names.

Everything else of the person's environment stays outside: an exported ``DATABASE_URL`` or AWS profile must never turn
a demo into a mailing. A setting meant for a demo is given as ``DEMO_<NAME>``, for tests as ``TEST_<NAME>``.
"""

import os
from collections.abc import Mapping
from typing import Final

# fmt: off
NEEDED: Final = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "COLORTERM", "NO_COLOR",
    "FORCE_COLOR", "COLUMNS", "LINES", "TMPDIR", "CI", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "DISPLAY", "EMBEDDED_POSTGRES_BIN",
})
# fmt: on
NEEDED_PREFIXES: Final = ("LC_", "XDG_", "COVERAGE_", "COV_", "PYTEST_", "HYPOTHESIS_", "PLAYWRIGHT_", "LOCALSES_")
# Amazon's client reads files and asks the machine's metadata service where no variable is set.
NO_AWS: Final = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def own_environment(ambient: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the variables to start from; ``prefix`` is ``DEMO_`` or ``TEST_``."""
    kept = {name: value for name, value in ambient.items() if name in NEEDED or name.startswith(NEEDED_PREFIXES)}
    explicit = {name: value for name, value in ambient.items() if name.startswith(prefix) and value}
    settings = {name.removeprefix(prefix): value for name, value in explicit.items()}
    return NO_AWS | kept | explicit | settings


def ignored_settings(ambient: Mapping[str, str], prefix: str) -> list[str]:
    """List the service addresses and keys in ``ambient`` that were left outside, to say so."""
    watched = ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL", "SENTRY_DSN", "AWS_PROFILE", "AWS_ACCESS_KEY_ID")
    return [name for name in watched if ambient.get(name) and not ambient.get(prefix + name)]
