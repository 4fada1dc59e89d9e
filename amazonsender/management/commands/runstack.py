"""Run web, workers, scheduler and Local SES as one foreground group."""

import os
import shlex
import socket
import sys
from argparse import ArgumentParser
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from amazonsender.core.loopback import is_loopback, probe_host
from amazonsender.stack.console import Console, wants_colour
from amazonsender.stack.programs import answers, list_programs
from amazonsender.stack.supervisor import Afterwards, Supervisor


class Command(BaseCommand):
    """Start every process, restart what dies, and end all of them on Ctrl-C or SIGTERM."""

    help = (
        "Run the web server, the workers, the scheduler and (where LOCALSES_URL leads to this machine) Local SES "
        "as one group in the foreground. Exit code 0: ended by Ctrl-C or SIGTERM; with --exit: the command's."
    )
    requires_system_checks = "__all__"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where the web server listens (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="and its port (8000)")
        parser.add_argument("--send-processes", type=int, default=2, help="how many processes send (2)")
        parser.add_argument("--log-file", type=Path, help="write the whole log to this file too")
        parser.add_argument("--then", metavar="COMMAND", help="a management command to run once everything answers")
        parser.add_argument("--exit", action="store_true", help="end after that command, with its code")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["exit"] and not options["then"]:
            raise CommandError("--exit needs --then.")
        _refuse_a_taken_port(options["host"], options["port"])
        with ExitStack() as stack:
            log_path: Path | None = options["log_file"]
            log = stack.enter_context(log_path.open("w", encoding="utf-8")) if log_path else None
            supervisor = self._supervisor(options, log)
            code = supervisor.run()
        sys.exit(code)

    def _supervisor(self, options: dict[str, Any], log: Any) -> Supervisor:
        localses = settings.LOCALSES_URL if is_loopback(settings.LOCALSES_URL) else ""
        programs = list_programs(
            host=options["host"],
            port=options["port"],
            send_processes=options["send_processes"],
            localses=bool(localses),
            queues=bool(settings.EVENT_QUEUE_URLS),
        )
        web = f"http://{probe_host(options['host'])}:{options['port']}/health/live"
        then = shlex.split(options["then"] or "")
        command = [sys.executable, "manage.py", *then]
        return Supervisor(
            programs,
            environment=os.environ,
            folder=settings.BASE_DIR,
            console=Console(
                sys.stdout,
                tuple(program.name for program in programs),
                colour=wants_colour(sys.stdout),
                log=log,
                quiet=bool(then),
            ),
            ready=lambda: answers(web) and (not localses or answers(localses)),
            afterwards=Afterwards(command, exit=options["exit"]) if then else None,
            welcome=f"Ready at {settings.PUBLIC_URL}. Ctrl-C ends everything.",
        )


def _refuse_a_taken_port(host: str, port: int) -> None:
    """Before anything starts: a web server that can't listen would be started again for ever, beside other workers."""
    with suppress(OSError):
        socket.create_connection((probe_host(host), port), timeout=1).close()
        raise CommandError(f"Another program listens on port {port}. End it, or choose another port with --port.")
