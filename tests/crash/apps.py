"""Shortens the engine's times and moves this process's clock, as the harness says. Only the harness installs this app.

CRASH_SCALE: lease, start and read limits are divided by it, all alike, so that their order, on which safety rests, stays.
CRASH_CLOCK_SECONDS: how far this process's clock is ahead of the others'; its monotonic clock is left alone.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib import import_module

from django.apps import AppConfig

# Every name under which the times are known: `from … import` copies it.
SCALED = {
    "delivery.engine.claiming": ["LEASE_SECONDS"],
    "delivery.engine.arming": ["LEASE_SECONDS"],
    "delivery.engine.settling": ["LEASE_SECONDS"],
    "delivery.engine.slots": ["SLOT_LEASE_SECONDS"],
    "delivery.engine.sending": ["START_WITHIN_SECONDS"],
    "delivery.engine.loop": ["DRAIN_SECONDS"],
    "delivery.engine.runner": ["RENEW_AFTER_SECONDS"],
}
# Default arguments: module, class, function, names.
SCALED_DEFAULTS = [
    ("delivery.engine.loop", "EngineLoop", "run_slice", ["seconds"]),
    ("delivery.providers.ses.provider", "SesProvider", "__init__", ["connect_timeout_seconds", "read_timeout_seconds"]),
]


class CrashConfig(AppConfig):
    name = "tests.crash"
    label = "crash"

    def ready(self) -> None:
        scale = float(os.environ.get("CRASH_SCALE", "1"))
        if scale != 1:
            shorten(scale)
        ahead = float(os.environ.get("CRASH_CLOCK_SECONDS", "0"))
        if ahead:
            move_clock(ahead)


def shorten(scale: float) -> None:
    """Divide the engine's times in this process, and in those that it forks.

    All modules are there before the first time is divided: what is imported later would copy it divided already, and
    divide it again.
    """
    modules = {module_name: import_module(module_name) for module_name in SCALED}
    for module_name, names in SCALED.items():
        module = modules[module_name]
        for name in names:
            setattr(module, name, getattr(module, name) / scale)
    for module_name, class_name, function_name, names in SCALED_DEFAULTS:
        defaults = getattr(getattr(import_module(module_name), class_name), function_name).__kwdefaults__
        for name in names:
            defaults[name] = defaults[name] / scale


def move_clock(ahead: float) -> None:
    """Set the wall clock of this process, and of those that it forks."""
    import time_machine

    time_machine.travel(datetime.now(UTC) + timedelta(seconds=ahead), tick=True).start()
