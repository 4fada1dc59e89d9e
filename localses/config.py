"""What Local SES is told by its environment, and what may be changed while it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ACCOUNT_ID = "000000000000"
DEFAULT_REGION = "us-east-1"
ENFORCEMENT_STATES = ("HEALTHY", "PROBATION", "SHUTDOWN")


class SettingsError(ValueError):
    """A setting is unknown or has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Config:
    """What stays the same for the life of the process."""

    data: Path
    public_url: str
    access_key: str
    secret_key: str
    seed: str
    identities: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read `LOCALSES_*`; every name has a default that suits one developer's machine."""
        port = environment.get("LOCALSES_PORT", "8025")
        identities = environment.get("LOCALSES_IDENTITIES", "")
        return cls(
            data=Path(environment.get("LOCALSES_DATA", ".data/localses")),
            public_url=environment.get("LOCALSES_PUBLIC_URL", f"http://127.0.0.1:{port}").rstrip("/"),
            access_key=environment.get("LOCALSES_ACCESS_KEY", "localses"),
            secret_key=environment.get("LOCALSES_SECRET_KEY", "localses-secret"),
            seed=environment.get("LOCALSES_SEED", "localses"),
            identities=tuple(name.strip() for name in identities.split(",") if name.strip()),
        )


@dataclass(slots=True)
class Settings:
    """What a person or a test may change at run time; rates are shares between 0 and 1.

    Everything that disturbs is off by default. `spread_seconds` is the time over which deliveries, bounces,
    complaints and readers of one email spread. `lost_answer_rate` accepts the call and then answers 500, which is
    the outcome that a sender cannot know.
    """

    max_send_rate: float = 500.0
    max_24_hour: float = 1_000_000.0
    sending_enabled: bool = True
    production_access: bool = True
    enforcement_status: str = "HEALTHY"
    bounce_rate: float = 0.0
    soft_bounce_rate: float = 0.0
    complaint_rate: float = 0.0
    delay_rate: float = 0.0
    open_rate: float = 0.0
    click_rate: float = 0.0
    unsubscribe_rate: float = 0.0
    machine_rate: float = 0.0
    spread_seconds: float = 10.0
    latency_ms: float = 0.0
    throttle_rate: float = 0.0
    error_rate: float = 0.0
    lost_answer_rate: float = 0.0
    entry_failure_rate: float = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read `LOCALSES_<NAME>` for every field, for example `LOCALSES_BOUNCE_RATE=0.01`."""
        settings = cls()
        given: dict[str, object] = {}
        for field in fields(cls):
            raw = environment.get(f"LOCALSES_{field.name.upper()}")
            if raw is not None and raw.strip():
                given[field.name] = _from_text(field.name, raw.strip(), getattr(settings, field.name))
        settings.change(given)
        return settings

    def change(self, values: Mapping[str, object]) -> None:
        """Change several settings at once; none if one of them is wrong.

        Raises SettingsError with the name of the setting.
        """
        checked = {name: _checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, object]:
        """Return every setting by name."""
        return asdict(self)


_DEFAULTS: dict[str, object] = Settings().as_dict()


def _from_text(name: str, raw: str, default: object) -> object:
    if isinstance(default, bool):
        return raw.lower() in {"1", "true", "yes", "on"}
    if isinstance(default, float):
        try:
            return float(raw)
        except ValueError:
            raise SettingsError(f"{name} must be a number, not {raw!r}.") from None
    return raw


def _checked(name: str, value: object) -> object:
    if name not in _DEFAULTS:
        raise SettingsError(f"There is no setting called {name!r}. Known: {', '.join(_DEFAULTS)}.")
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise SettingsError(f"{name} must be true or false.")
        return value
    if isinstance(default, str):
        if value not in ENFORCEMENT_STATES:
            raise SettingsError(f"{name} must be one of {', '.join(ENFORCEMENT_STATES)}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{name} must be a number.")
    if name.endswith("_rate") and name != "max_send_rate" and not 0 <= value <= 1:
        raise SettingsError(f"{name} must be between 0 and 1.")
    if value < 0 and not (name == "max_24_hour" and value == -1):
        raise SettingsError(f"{name} must not be negative.")
    return float(value)
