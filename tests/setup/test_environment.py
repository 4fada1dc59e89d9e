import os

from amazonsender.embedded.environment import ignored_settings, own_environment

AMBIENT = {
    "PATH": "/bin",
    "LC_ALL": "C.UTF-8",
    "DATABASE_URL": "postgresql://production/db",
    "CELERY_BROKER_URL": "redis://production",
    "CACHE_URL_FILE": "/run/secrets/cache",
    "SENTRY_DSN": "https://key@sentry.example/1",
    "AWS_PROFILE": "company",
    "AWS_ACCESS_KEY_ID": "real",
    "SECRET_KEY": "real",
    "PGHOST": "production",
    "HTTPS_PROXY": "http://proxy",
}


def test_a_demo_sees_no_address_or_key_of_the_persons_environment() -> None:
    assert own_environment(AMBIENT, "DEMO_") == {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_an_explicit_name_hands_a_setting_to_the_demo() -> None:
    environment = own_environment(AMBIENT | {"DEMO_DATABASE_URL": "postgresql://mine/db"}, "DEMO_")

    assert environment["DATABASE_URL"] == "postgresql://mine/db"


def test_a_name_meant_for_tests_does_not_reach_a_demo() -> None:
    assert "DATABASE_URL" not in own_environment({"TEST_DATABASE_URL": "postgresql://t/db"}, "DEMO_")


def test_what_was_left_outside_is_named_unless_it_was_given_explicitly() -> None:
    assert ignored_settings(AMBIENT | {"DEMO_AWS_PROFILE": "mine"}, "DEMO_") == [
        "DATABASE_URL",
        "CELERY_BROKER_URL",
        "SENTRY_DSN",
        "AWS_ACCESS_KEY_ID",
    ]
