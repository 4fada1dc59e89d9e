from __future__ import annotations

from pathlib import Path

import pytest

from localses.config import Config, Settings, SettingsError


def test_the_defaults_suit_one_machine_and_disturb_nothing() -> None:
    config, settings = Config.from_environment({}), Settings.from_environment({})

    assert (config.public_url, config.access_key, config.secret_key) == (
        "http://127.0.0.1:8025",
        "localses",
        "localses-secret",
    )
    assert (settings.max_send_rate, settings.max_24_hour) == (500.0, 1_000_000.0)
    rates = {name: value for name, value in settings.as_dict().items() if name.endswith("_rate")}
    assert {name: value for name, value in rates.items() if value} == {"max_send_rate": 500.0}


def test_the_environment_sets_everything() -> None:
    environment = {
        "LOCALSES_DATA": "/tmp/x",
        "LOCALSES_PORT": "9000",
        "LOCALSES_ACCESS_KEY": "a",
        "LOCALSES_SECRET_KEY": "b",
        "LOCALSES_SEED": "s",
        "LOCALSES_IDENTITIES": "example.com, news@example.org,",
        "LOCALSES_OPEN_RATE": "0.38",
        "LOCALSES_MAX_24_HOUR": "-1",
        "LOCALSES_SENDING_ENABLED": "no",
        "LOCALSES_ENFORCEMENT_STATUS": "PROBATION",
        "LOCALSES_CLICK_RATE": "",
    }

    assert Config.from_environment(environment) == Config(
        Path("/tmp/x"), "http://127.0.0.1:9000", "a", "b", "s", ("example.com", "news@example.org")
    )
    settings = Settings.from_environment(environment)
    assert (settings.open_rate, settings.max_24_hour, settings.click_rate) == (0.38, -1.0, 0.0)
    assert (settings.sending_enabled, settings.enforcement_status) == (False, "PROBATION")


def test_a_public_url_loses_its_slash() -> None:
    assert Config.from_environment({"LOCALSES_PUBLIC_URL": "http://ses:8025/"}).public_url == "http://ses:8025"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"open_rates": 1}, "There is no setting called 'open_rates'"),
        ({"open_rate": 1.1}, "open_rate must be between 0 and 1"),
        ({"open_rate": -0.1}, "open_rate must be between 0 and 1"),
        ({"open_rate": "x"}, "open_rate must be a number"),
        ({"open_rate": True}, "open_rate must be a number"),
        ({"latency_ms": -1}, "latency_ms must not be negative"),
        ({"max_send_rate": -1}, "max_send_rate must not be negative"),
        ({"sending_enabled": 1}, "sending_enabled must be true or false"),
        ({"enforcement_status": "FINE"}, "enforcement_status must be one of HEALTHY"),
    ],
)
def test_a_wrong_setting_changes_nothing_and_is_named(values: dict[str, object], message: str) -> None:
    settings = Settings()

    with pytest.raises(SettingsError, match=message):
        settings.change({"click_rate": 0.5, **values})

    assert settings == Settings()


def test_a_number_in_the_environment_must_be_one() -> None:
    with pytest.raises(SettingsError, match="bounce_rate must be a number, not 'many'"):
        Settings.from_environment({"LOCALSES_BOUNCE_RATE": "many"})
