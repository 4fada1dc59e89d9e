"""A Valkey server of our own on a loopback port: the broker and the cache, over the same redis:// as in production."""

import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from amazonsender.core.processes import command_of, end, end_stranger, spawn, wait_for
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import Home
from amazonsender.embedded.postgres import PLAIN_ENVIRONMENT

START_SECONDS = 15.0
STOP_SECONDS = 10.0
BROKER_DATABASE = 0
CACHE_DATABASE = 1


@dataclass
class Valkey:
    """One server with its data in ``home``; ``throwaway`` keeps nothing on disk."""

    home: Home
    program: Path
    throwaway: bool = False
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    name = "valkey"

    @property
    def folder(self) -> Path:
        return self.home.path / "valkey"

    @property
    def log_path(self) -> Path:
        return self.home.path / "valkey.log"

    def url(self, database: int) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        end_left_over_valkey(self.home)
        self.port = self.home.port("valkey")
        with self.log_path.open("w", encoding="utf-8") as log:
            self.process = spawn([self.program, self._write_settings()], env=PLAIN_ENVIRONMENT, output=log)
        self.home.remember("valkey_pid", str(self.process.pid))
        wait_for(lambda: not self.alive or self._answers(), seconds=START_SECONDS)
        if not self._answers():
            self.stop()
            words = self.log_path.read_text(encoding="utf-8", errors="replace")[-800:]
            raise EmbeddedError(f"Valkey didn't start. The end of {self.log_path}:\n{words}")

    def stop(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; what it holds is on disk by then."""
        if self.process is not None:
            end(self.process, how, seconds=STOP_SECONDS)
            self.process = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def _password(self) -> str:
        return self.home.secret("valkey_password", size=16)

    def _write_settings(self) -> Path:
        """Write the settings to a file, because a password among the arguments is seen by every user."""
        path = self.folder / "valkey.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.folder}",
            f"requirepass {self._password}",
            f"appendonly {'no' if self.throwaway else 'yes'}",
            'save ""',
            "maxmemory 256mb",
            # A broker that drops messages when it is full would be worse than one that refuses new ones.
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _answers(self) -> bool:
        if not self.alive:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                connection.settimeout(2)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(64)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def end_left_over_valkey(home: Home) -> None:
    """End the server of a run that was killed, as it still writes to the folder."""
    pid = int(home.remembered("valkey_pid") or 0)
    if pid and "valkey-server" in command_of(pid):
        end_stranger(pid, signal.SIGTERM, seconds=STOP_SECONDS)
