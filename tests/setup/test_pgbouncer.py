import os
import shutil
import subprocess
import sys

import psycopg
import pytest
from psycopg import sql

from amazonsender.embedded.home import PROJECT
from tests.setup.pgbouncer import direct, running_pgbouncer

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


def test_the_product_works_behind_pgbouncers_transaction_mode(db: None) -> None:
    # Measuring what these tests cover again would only take time.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with running_pgbouncer() as url:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--reuse-db", "-m", "not processes", *SUITES],
            env=own | {"DATABASE_URL": f"{url}/{DATABASE}"},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        with psycopg.connect(direct(), autocommit=True) as server:
            # PgBouncer keeps its server connections open after the run.
            server.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(f"test_{DATABASE}"))
            )

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
