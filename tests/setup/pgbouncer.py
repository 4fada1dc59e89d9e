"""PgBouncer in transaction mode before the tests' own server."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from django.db import connection

from amazonsender.core.processes import end, spawn, wait_for
from amazonsender.embedded.home import UNPRIVILEGED_ID, free_port


@contextmanager
def running_pgbouncer(*, pool_size: int = 2) -> Iterator[str]:
    """Start one with a few server connections; yields a URL through it, without the database's name."""
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-test-"))
    folder.chmod(0o755)
    port = free_port("127.0.0.1", 0)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = {direct().removesuffix(' dbname=postgres')}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {pool_size}\nmax_client_conn = 100\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    user = UNPRIVILEGED_ID if os.geteuid() == 0 else None
    with (folder / "log").open("w") as log:
        process = spawn(["pgbouncer", folder / "pgbouncer.ini"], env=os.environ, output=log, user=user)
    url = f"postgresql://{connection.settings_dict['USER']}@127.0.0.1:{port}"
    try:
        assert wait_for(lambda: _answers(f"{url}/postgres"), seconds=10), (folder / "log").read_text()
        yield url
    finally:
        end(process, signal.SIGINT, seconds=5)
        shutil.rmtree(folder)


def direct() -> str:
    """How to reach the tests' server without PgBouncer."""
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
