"""The production settings on real services: collected files, granian, Celery over Redis and over RabbitMQ, PgBouncer.

Only Local SES is not what a server has: the checks that refuse it, and an address without TLS, are silenced here.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from django.db import connection
from psycopg import sql

from amazonsender.core.processes import end, spawn, wait_for
from amazonsender.embedded.home import PROJECT, free_port
from tests.setup.pgbouncer import direct, running_pgbouncer

pytestmark = pytest.mark.processes

BROKERS = {"redis": "TEST_CELERY_BROKER_URL", "rabbitmq": "TEST_RABBITMQ_URL"}
CACHE = "TEST_CACHE_URL"
PEOPLE = 300
DEPLOYED = """
from amazonsender.settings.production import *

STATIC_ROOT = {static!r}
# Squeezing the megabytes of the API's reference page takes most of a minute.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["css", "js", "map", "svg"]
SILENCED_SYSTEM_CHECKS = ["amazonsender.E004", "amazonsender.E007"]
CACHES["default"]["KEY_PREFIX"] = {prefix!r}
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {{"global_keyprefix": {prefix!r}}}
"""


@dataclass
class Deployment:
    """A folder with settings of its own, an empty database, and the environment of every process."""

    folder: Path
    environment: dict[str, str]
    web: str

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + self.log()
        return done.stdout

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text()[-5000:] if path.exists() else ""


@pytest.fixture(params=sorted(BROKERS))
def deployment(request: pytest.FixtureRequest, tmp_path: Path, db: None) -> Iterator[Deployment]:
    broker, cache = os.environ.get(BROKERS[request.param], ""), os.environ.get(CACHE, "")
    if not broker or not cache:
        pytest.skip(f"{BROKERS[request.param]} or {CACHE} names no service")
    prefix = f"as-test-{secrets.token_hex(4)}-"
    with ExitStack() as stack:
        if shutil.which("pgbouncer"):
            database = stack.enter_context(running_pgbouncer(pool_size=8))
        else:
            server = connection.settings_dict
            user = server["USER"] + (f":{server['PASSWORD']}" if server["PASSWORD"] else "")
            database = f"postgresql://{user}@{server['HOST']}:{server['PORT'] or 5432}"
        name = f"test_real_services_{secrets.token_hex(4)}"
        _administer("CREATE DATABASE {}", name)
        stack.callback(_administer, "DROP DATABASE {} WITH (FORCE)", name)
        for url in {cache, broker} - {url for url in (broker,) if not url.startswith("redis")}:
            stack.callback(_forget, url, prefix)
        web, localses = free_port("127.0.0.1", 0), free_port("127.0.0.1", 0)
        (tmp_path / "deployed.py").write_text(DEPLOYED.format(static=str(tmp_path / "static"), prefix=prefix))
        own = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "COVERAGE_"))}
        environment = own | {
            "DJANGO_SETTINGS_MODULE": "deployed",
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}",
            "AMAZONSENDER_IGNORE_DOTENV": "1",
            "ENVIRONMENT": "test",
            "DATA_DIR": str(tmp_path / "data"),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "TOKEN_KEYS": f"1:{secrets.token_hex(32)}",
            "PUBLIC_URL": f"http://127.0.0.1:{web}",
            "ALLOWED_HOSTS": "127.0.0.1",
            "TRUSTED_PROXIES": "1",
            "DATABASE_URL": f"{database}/{name}",
            "CELERY_BROKER_URL": broker,
            "CACHE_URL": cache,
            "LOG_FORMAT": "json",
            "LOCALSES_URL": f"http://127.0.0.1:{localses}",
            "LOCALSES_PORT": str(localses),
            "LOCALSES_PUBLIC_URL": f"http://127.0.0.1:{localses}",
            "LOCALSES_DATA": str(tmp_path / "localses"),
            "LOCALSES_CERTIFICATE": str(tmp_path / "localses" / "certificate.pem"),
        }
        yield Deployment(tmp_path, environment, f"http://127.0.0.1:{web}")


def _administer(statement: str, name: str) -> None:
    with psycopg.connect(direct(), autocommit=True) as server:
        server.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _forget(url: str, prefix: str) -> None:
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


def test_a_campaign_goes_out_over_production_settings_and_real_services(deployment: Deployment) -> None:
    deployment.manage("collectstatic", "--no-input", "--verbosity", "0")
    deployment.manage("migrate", "--verbosity", "0")
    port = deployment.web.rpartition(":")[2]
    command = [sys.executable, "manage.py", "runstack", "--port", port, "--log-file", str(deployment.folder / "log")]
    with (deployment.folder / "output").open("w") as output:
        stack = spawn(command, env=deployment.environment, output=output, cwd=PROJECT)
    try:
        assert wait_for(lambda: _is_ready(deployment.web), seconds=60), deployment.log()
        seeded = json.loads(
            deployment.manage("seed_demo", "--people", str(PEOPLE), "--verify", "--settle", "30", "--format", "json")
        )
        pages = _look_around(deployment.web)
    finally:
        end(stack, signal.SIGTERM, seconds=40)

    assert seeded["verified"], seeded["verification"]
    assert sum(seeded["states"].values()) == seeded["candidates"]
    assert seeded["states"]["sent"] + seeded["states"]["failed"] > PEOPLE / 2
    assert seeded["states"]["unknown"] == 0
    assert seeded["delivered"] > 0  # the events came back through web, inbox and worker
    assert pages == {"admin": 302, "sign-in": 200, "style sheet": 200, "another host": 400, "webhook": 400}
    assert stack.returncode == 0
    assert '"level": "error"' not in deployment.log()


def _is_ready(web: str) -> bool:
    try:
        return httpx.get(f"{web}/health/ready", timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


def _look_around(web: str) -> dict[str, int]:
    with httpx.Client(base_url=web, timeout=10) as client:
        sign_in = client.get("/admin/login/")
        sheet = re.search(r'href="(/static/[^"]+\.css)"', sign_in.text)
        assert sheet is not None
        return {
            "admin": client.get("/admin/").status_code,
            "sign-in": sign_in.status_code,
            "style sheet": client.get(sheet[1]).status_code,
            "another host": client.get("/admin/login/", headers={"Host": "evil.example"}).status_code,
            "webhook": client.post("/webhooks/ses/", content=b"{}").status_code,
        }
