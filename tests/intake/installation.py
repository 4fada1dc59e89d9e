"""The attacked installation: the services and programs of `tests.crash`, with a poller and without Local SES."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from amazonsender.core.processes import wait_for
from amazonsender.stack.child import Program
from amazonsender.stack.programs import answers, list_programs
from tests.crash.installation import PATIENCE_SECONDS, READY_SECONDS, Installation, insist
from tests.webhooks.queues import ROOT, RunningQueue
from tests.webhooks.signer import Signer
from tests.webhooks.sqs_service import ACCESS_KEY, SECRET_KEY

KEY = "k" * 40
# A second of SQS's visibility timeout, so that what a killed poller held comes back within seconds.
SCALE = 0.02
LOSE_DELETES = 50


class IntakeInstallation(Installation):
    """PostgreSQL, Valkey, web, two event workers, scheduler, poller; the queue is Amazon's, so that nobody kills it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, scale=1.0)
        self.signer = Signer(bits=1024)  # whoever signs is not what is tried, and takes a fifth of the time
        command = [sys.executable, "-m", "tests.webhooks.sqs_service", "--scale", str(SCALE)]
        self._sqs = subprocess.Popen(
            [*command, "--lose-deletes", str(LOSE_DELETES)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._sqs.stdout is not None
        self.queue = RunningQueue(int(self._sqs.stdout.readline().split()[1]))

    def __enter__(self) -> IntakeInstallation:
        super().__enter__()
        return self

    def __exit__(self, *told: object) -> None:
        super().__exit__(*told)
        self._sqs.kill()
        self._sqs.wait()
        if self._sqs.stdout is not None:
            self._sqs.stdout.close()

    def _programs(self) -> Sequence[Program]:
        listed = list_programs(
            host="127.0.0.1", port=self.home.port("web"), send_processes=1, localses=False, queues=True
        )
        return [program for program in listed if program.name != "send"]

    def _environment(self) -> dict[str, str]:
        certificate = self.home.path / "certificate.pem"
        certificate.write_bytes(self.signer.certificate_pem)
        return super()._environment() | {
            "DJANGO_SETTINGS_MODULE": "amazonsender.settings.local",
            "LOCALSES_URL": "http://127.0.0.1:1",
            "LOCALSES_CERTIFICATE": str(certificate),
            "FIREHOSE_ACCESS_KEYS": KEY,
            "EVENT_QUEUE_URLS": self.queue.url,
            "LOCALSES_ACCESS_KEY": ACCESS_KEY,
            "LOCALSES_SECRET_KEY": SECRET_KEY,
            "LOG_LEVEL": "WARNING",
        }

    def start_everything(self) -> None:
        """Start the programs, a second worker too, and wait until the web server answers."""
        for name in [*self.fleet.commands, "work-second"]:
            self.fleet.start(name)
        if not wait_for(lambda: answers(f"{self.web_url}/health/live"), seconds=READY_SECONDS):
            raise RuntimeError(f"the web server does not answer; see {self.logs}")

    def kill_postgres(self) -> None:
        """SIGKILL to the postmaster alone, as the kernel does when memory is short; its sessions find out themselves."""
        process = self.postgres.process
        if process is not None:
            sessions = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            _gone, alive = psutil.wait_procs(sessions, timeout=PATIENCE_SECONDS)
            for session in alive:
                session.kill()
        self._stop_waiting_for_nobody()
        self.postgres.start()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])

    def left_in_queue(self) -> int:
        return insist(self.queue.left, OSError)
