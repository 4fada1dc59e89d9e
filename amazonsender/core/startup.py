"""Web servers and workers don't run Django's system checks by themselves; here they refuse to start on an error."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.checks import ERROR, CheckMessage, run_checks


def refuse_wrong_configuration() -> None:
    """End the process with the errors and what to set, should a system check find any."""
    errors = [finding for finding in run_checks() if finding.level >= ERROR and not finding.is_silenced()]
    if errors:
        raise SystemExit(refusal(errors))


def refusal(findings: Iterable[CheckMessage]) -> str:
    """Return what is said before the process ends: each finding with its id and what to set."""
    return "\n".join(["This configuration is refused:", *(f"  {finding}" for finding in findings)])
