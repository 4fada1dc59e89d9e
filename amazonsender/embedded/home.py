"""The folder of one clone: its data, ports and secrets.

Normally ``.data`` in the clone. When root runs it, PostgreSQL runs as an unprivileged user, which can't reach a
clone below root's home; then a folder in ``/var/tmp`` named after the clone takes its place.
"""

import fcntl
import hashlib
import json
import os
import secrets
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from amazonsender.core.processes import wait_for
from amazonsender.embedded.errors import EmbeddedError

PROJECT = Path(__file__).resolve().parents[2]
# Debian's and the BSDs' "nobody". Root must not run PostgreSQL, and no user has to be created for this number to work.
UNPRIVILEGED_ID = 65534
KEPT_PORT_SECONDS = 8.0
# One of them is in every folder that was ever used: what tells it from a person's own.
OWN_FILES = frozenset({"lock", "secrets.json", "state.json"})


@dataclass(frozen=True)
class Home:
    """A folder that keeps permissions, lets programs run, and can be reached by whoever runs PostgreSQL."""

    path: Path
    as_root: bool

    @property
    def log_path(self) -> Path:
        return self.path / "stack.log"

    def lock(self) -> IO[str] | None:
        """Take the folder for this process; None when another one has it.

        The kernel lets go of it however the process ends, so there is never a stale lock to clean up.
        """
        handle = (self.path / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        return handle

    def lock_holder(self) -> int | None:
        """Tell which process has the folder."""
        with suppress(OSError, ValueError):
            handle = self.lock()
            if handle is None:
                return int((self.path / "lock").read_text(encoding="utf-8"))
            handle.close()
        return None

    def secret(self, name: str, *, size: int = 32) -> str:
        """Read a secret, made at random the first time it is asked for."""
        kept = _read_json(self.path / "secrets.json")
        if name not in kept:
            kept[name] = secrets.token_hex(size)
            _write_json(self.path / "secrets.json", kept, mode=0o600)
        return kept[name]

    def remember(self, name: str, value: str) -> None:
        """Keep a fact for the next start."""
        _write_json(self.path / "state.json", _read_json(self.path / "state.json") | {name: value}, mode=0o644)

    def remembered(self, name: str) -> str:
        """Read a kept fact; empty when there is none."""
        return _read_json(self.path / "state.json").get(name, "")

    def keep_environment(self, environment: dict[str, str]) -> None:
        """Keep the variables of this run, so that commands from another terminal work on the same services."""
        _write_json(self.path / "environment.json", environment, mode=0o600)

    def kept_environment(self) -> dict[str, str]:
        return _read_json(self.path / "environment.json")

    def port(self, name: str, *, host: str = "127.0.0.1", preferred: int = 0) -> int:
        """Choose a free port once and keep it, because addresses in sent mail must stay valid.

        Without ``preferred`` the system picks one. Only when a kept port is taken by another program is a new one
        chosen.
        """
        kept = int(self.remembered(f"{name}_port") or 0)
        # What still ends after a run that was killed lets go of the port within seconds.
        if kept and wait_for(lambda: bool(free_port(host, kept)), seconds=KEPT_PORT_SECONDS):
            return kept
        for candidate in range(preferred, preferred + 50) if preferred else [0]:
            chosen = free_port(host, candidate)
            if chosen:
                self.remember(f"{name}_port", str(chosen))
                return chosen
        raise EmbeddedError(f"No free port for {name} from {preferred} on. Name one, e.g. PORT=9000.")

    def hold_port(self, name: str, *, host: str, preferred: int) -> socket.socket:
        """Choose a port like `port`, and keep other clones from choosing it too until the socket is closed."""
        while True:
            held = listen_on(host, self.port(name, host=host, preferred=preferred))
            if held is not None:
                return held


def listen_on(host: str, port: int) -> socket.socket | None:
    """Take a port; None when another program has it, or there is no such port.

    A port that is only bound could be bound by somebody else as well: only one can listen.
    """
    taken = socket.socket(_family(host), socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(1)
    except (OSError, OverflowError):
        taken.close()
        return None
    return taken


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def free_port(host: str, port: int) -> int:
    """Return ``port`` (or one the system picks for 0) if it can be bound on ``host``, else 0."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # Servers bind with this option too; without it a port closed a moment ago would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def find_home(explicit: Path | None = None, *, create: bool = True) -> Home:
    """Find the clone's folder, and make it unless ``create`` is off."""
    as_root = os.geteuid() == 0
    digest = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:10]
    own = f"amazonsender-{digest}"
    usual = [PROJECT / ".data", Path("/var/tmp", own), Path("/tmp", own)]  # noqa: S108 - _make looks at the owner
    candidates = [explicit] if explicit else usual
    for candidate in candidates:
        if not reachable(candidate.parent, as_root=as_root):
            continue
        if not create:
            return Home(candidate, as_root)
        if _make(candidate, mode=0o711 if as_root else 0o700):
            return Home(candidate, as_root)
    named = ", ".join(str(candidate) for candidate in candidates)
    raise EmbeddedError(
        f"PostgreSQL can't keep its data in any of these folders: {named}. It needs one that other users may pass "
        "through, that keeps permissions (not a Windows drive in WSL) and that isn't mounted noexec. "
        "Name one: DEMO_DATA_DIR=/some/folder."
    )


def reachable(path: Path, *, as_root: bool) -> bool:
    """Tell whether the unprivileged user can pass through ``path`` when root is who runs this."""
    folders = _existing([path, *path.parents])
    if os.statvfs(folders[0]).f_flag & getattr(os, "ST_NOEXEC", 0):
        return False
    return not as_root or all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def _existing(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in folders if folder.exists()]


def _make(path: Path, *, mode: int) -> bool:
    """Create a folder that is ours alone; False where the file system doesn't keep permissions."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        found = path.lstat()
        # /var/tmp is everybody's: a link or a folder that somebody else put there must not receive our secrets.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        path.chmod(mode)
        return stat.S_IMODE(path.stat().st_mode) == mode
    except OSError:
        return False


def _read_json(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise EmbeddedError(f"{path} is damaged. Start over with `python3 run.py wipe`.") from None
    return {str(name): str(value) for name, value in kept.items()}


def _write_json(path: Path, kept: dict[str, str], *, mode: int) -> None:
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w", encoding="utf-8") as handle:  # noqa: PTH123
        json.dump(kept, handle, indent=1)
    fresh.replace(path)
