import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from amazonsender.core.processes import end, spawn, wait_for
from amazonsender.embedded.home import PROJECT, UNPRIVILEGED_ID, free_port

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer isn't installed"),
]

# What writes the audience and the ledger, and takes locks: enough to fail if a transaction's state were lost.
SUITES = [
    "tests/delivery/engine/test_sending.py",
    "tests/delivery/engine/test_lifecycle.py",
    "tests/organizations/test_sign_in.py",
    "tests/subscribers/test_consent.py",
    "tests/subscribers/test_import_crashes.py",
]
DATABASE = "behind_pgbouncer"


@pytest.fixture
def pgbouncer(db: None) -> Iterator[str]:
    """A PgBouncer in transaction mode with two server connections; yields a URL through it."""
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-test-"))
    folder.chmod(0o755)
    port = free_port("127.0.0.1", 0)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = {_direct().removesuffix(' dbname=postgres')}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    user = UNPRIVILEGED_ID if os.geteuid() == 0 else None
    with (folder / "log").open("w") as log:
        process = spawn(["pgbouncer", folder / "pgbouncer.ini"], env=os.environ, output=log, user=user)
    url = f"postgresql://{connection.settings_dict['USER']}@127.0.0.1:{port}"
    assert wait_for(lambda: _answers(f"{url}/postgres"), seconds=10), (folder / "log").read_text()
    yield url
    end(process, signal.SIGINT, seconds=5)
    shutil.rmtree(folder)


def _direct() -> str:
    server = connection.settings_dict
    return psycopg.conninfo.make_conninfo(
        host=server["HOST"], port=server["PORT"] or 5432, user=server["USER"], password=server["PASSWORD"] or None,
        dbname="postgres",
    )  # fmt: skip


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2).close()
        return True
    return False


def test_the_product_works_behind_pgbouncers_transaction_mode(pgbouncer: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--reuse-db", "-m", "not processes", *SUITES],
        env=os.environ | {"DATABASE_URL": f"{pgbouncer}/{DATABASE}"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    with psycopg.connect(_direct(), autocommit=True) as direct:
        # PgBouncer keeps its server connections open after the run.
        direct.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(f"test_{DATABASE}")))

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
