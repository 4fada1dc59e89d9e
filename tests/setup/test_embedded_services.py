import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from amazonsender.core.processes import running, wait_for
from amazonsender.embedded.binaries import find_postgres, find_valkey
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import Home, find_home
from amazonsender.embedded.postgres import Postgres
from amazonsender.embedded.services import Services
from amazonsender.embedded.valkey import Valkey

pytestmark = pytest.mark.processes


@pytest.fixture
def home() -> Iterator[Home]:
    # Not pytest's tmp_path: its folders are closed to the user who runs PostgreSQL when root runs the tests.
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-test-"))
    yield find_home(folder)
    shutil.rmtree(folder)


def test_services_start_hand_over_their_addresses_and_end(home: Home) -> None:
    environment: dict[str, str] = {}

    with Services(home, environment, throwaway=True) as services:
        postgres, valkey = services.started
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            row = connection.execute(
                "SELECT current_user, current_setting('server_encoding'), 'a' < 'B', current_setting('fsync')"
            ).fetchone()
        pids = [service.process.pid for service in services.started if service.process]

    assert row == ("amazonsender", "UTF8", False, "off")
    assert environment["CELERY_BROKER_URL"] == f"redis://:{home.secret('valkey_password')}@127.0.0.1:{valkey.port}/0"
    assert environment["CACHE_URL"].endswith(f":{valkey.port}/1")
    assert [running(pid) for pid in pids] == [False, False]
    assert postgres.alive is False


def test_a_service_that_the_environment_names_is_not_started(home: Home) -> None:
    environment = {"DATABASE_URL": "postgresql://mine/db", "CELERY_BROKER_URL": "redis://mine", "CACHE_URL_FILE": "/f"}

    with Services(home, environment) as services:
        assert services.started == []
        assert environment["DATABASE_URL"] == "postgresql://mine/db"


def test_a_database_is_refused_without_its_password(home: Home) -> None:
    environment: dict[str, str] = {"CELERY_BROKER_URL": "redis://mine", "CACHE_URL": "redis://mine"}

    with Services(home, environment, throwaway=True) as services:
        port = services.started[0].port
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://amazonsender@127.0.0.1:{port}/amazonsender")


def test_the_database_starts_again_after_everything_was_killed_and_keeps_what_was_committed(home: Home) -> None:
    postgres = Postgres(home, find_postgres(home))
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    assert postgres.process is not None
    os.killpg(postgres.process.pid, signal.SIGKILL)
    postgres.process.wait()

    again = Postgres(home, postgres.binaries)
    again.start()
    with psycopg.connect(again.url) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
    again.stop()

    assert row == (7,)
    assert again.port == postgres.port


def test_the_mark_of_a_dead_server_whose_number_another_program_has_is_cleared(home: Home) -> None:
    postgres = Postgres(home, find_postgres(home), throwaway=True)
    postgres.start()
    postgres.stop()
    # What a container's restart leaves: the number in the file belongs to an innocent process by now.
    (postgres.folder / "postmaster.pid").write_text(f"{os.getppid()}\n{postgres.folder}\n")

    postgres.start()
    postgres.stop()

    assert running(os.getppid())


def test_a_server_left_behind_is_ended_before_a_new_one_starts(home: Home) -> None:
    left_behind = Postgres(home, find_postgres(home), throwaway=True)
    left_behind.start()
    assert left_behind.process is not None

    again = Postgres(home, left_behind.binaries, throwaway=True)
    again.start()
    again.stop()

    assert left_behind.alive is False


def test_data_of_another_postgresql_is_refused_with_what_to_do(home: Home) -> None:
    (home.path / "postgres").mkdir()
    (home.path / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(EmbeddedError, match=r"was made by PostgreSQL 14, .* run\.py wipe"):
        Postgres(home, find_postgres(home)).start()


def test_a_database_that_does_not_start_shows_the_end_of_its_log(home: Home) -> None:
    postgres = Postgres(home, find_postgres(home), throwaway=True)
    postgres.start()
    postgres.stop()
    (postgres.folder / "postgresql.conf").write_text("shared_buffers = nonsense\n")
    again = Postgres(home, postgres.binaries)

    with pytest.raises(EmbeddedError) as caught:
        again.start()

    assert "PostgreSQL didn't start. The end of" in str(caught.value)
    assert 'invalid value for parameter "shared_buffers": "nonsense"' in str(caught.value)
    assert not again.alive


def test_services_that_started_are_ended_when_a_later_one_does_not(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amazonsender.embedded.services.find_valkey", lambda: Path("/bin/false"))
    monkeypatch.setattr("amazonsender.embedded.valkey.START_SECONDS", 60.0)
    services = Services(home, {}, throwaway=True)
    started_at = time.monotonic()

    with pytest.raises(EmbeddedError, match="Valkey didn't start"), services:
        pytest.fail("it started")

    assert time.monotonic() - started_at < 60  # what ended at once is not waited for
    assert services.started == []
    assert not (home.path / "postgres" / "postmaster.pid").exists()


def test_programs_named_by_the_person_are_looked_for_there(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDED_POSTGRES_BIN", str(home.path))

    with pytest.raises(EmbeddedError, match="There is no initdb in"):
        find_postgres(home)


def test_what_the_broker_holds_survives_a_kill(home: Home) -> None:
    valkey = Valkey(home, find_valkey())
    valkey.start()
    redis.Redis.from_url(valkey.url(0)).lpush("queue", "task")
    # The append-only file is written every second.
    wait_for(lambda: False, seconds=1.2)
    assert valkey.process is not None
    valkey.process.kill()
    valkey.process.wait()

    valkey.start()
    held = redis.Redis.from_url(valkey.url(0)).lrange("queue", 0, -1)
    valkey.stop()

    assert held == [b"task"]


def test_a_service_that_died_is_started_again_on_its_port(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amazonsender.embedded.services.RESTART_SECONDS", 0)
    environment = {"DATABASE_URL": "postgresql://mine/db"}
    with Services(home, environment, throwaway=True) as services:
        valkey = services.started[0]
        port = valkey.port
        assert valkey.process is not None
        valkey.process.kill()
        valkey.process.wait()

        services.revive()

        assert valkey.alive
        assert valkey.port == port


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_no_service_outlives_a_killed_parent(home: Home) -> None:
    program = (
        "import sys, time; from pathlib import Path; "
        "from amazonsender.embedded.home import find_home; from amazonsender.embedded.services import Services\n"
        f"with Services(find_home(Path({str(home.path)!r})), {{}}, throwaway=True) as services:\n"
        "    print(*[service.process.pid for service in services.started], flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()

    assert len(pids) == 2
    assert wait_for(lambda: not any(running(pid) for pid in pids), seconds=10)
