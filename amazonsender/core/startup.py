"""Web servers and workers don't run Django's system checks by themselves; here they refuse to start on an error."""

from __future__ import annotations

import sys

from django.core.checks import ERROR, run_checks


def refuse_wrong_configuration() -> None:
    """End the process with the errors and what to set, should a system check find any."""
    errors = [finding for finding in run_checks() if finding.level >= ERROR and not finding.is_silenced()]
    if errors:
        sys.exit("\n".join(["This configuration is refused:", *(f"  {finding}" for finding in errors)]))
