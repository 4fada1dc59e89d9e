"""Starting programs so that none outlives the one that watches over it."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

PROC: Final = Path("/proc")
SET_PARENT_DEATH_SIGNAL: Final = 1
SET_CHILD_SUBREAPER: Final = 36
# Loaded here, because loading a library between fork and exec isn't safe.
LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent died, so that they can be ended and reaped (Linux)."""
    if LIBC is not None:
        LIBC.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    output: int | IO[str] | None,
    die_with_parent: signal.Signals = signal.SIGTERM,
    user: int | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that Ctrl-C reaches only the one who watches over it.

    On Linux the kernel sends it ``die_with_parent`` when that one is killed. ``user`` needs root.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_tied_to_parent(die_with_parent),  # one system call; those who start run no threads
        cwd=cwd,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def _tied_to_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if LIBC is None:
        return None
    parent = os.getpid()
    libc = LIBC

    def tie() -> None:
        libc.prctl(SET_PARENT_DEATH_SIGNAL, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the call above
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def end(process: subprocess.Popen[bytes], how: signal.Signals, *, seconds: float) -> None:
    """Ask a program to end, then insist, and leave nothing of its group behind."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    kill_group(process.pid)


def end_stranger(pid: int, how: signal.Signals, *, seconds: float) -> None:
    """Ask a process that isn't our child to end, then insist."""
    with suppress(ProcessLookupError):
        os.kill(pid, how)
    if not wait_for(lambda: not running(pid), seconds=seconds):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        kill_group(pid)
        wait_for(lambda: not running(pid), seconds=seconds)


def kill_group(group: int) -> None:
    """Kill what is left of the group of a program that has ended."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(group, signal.SIGKILL)


def running(pid: int) -> bool:
    """Tell whether a process with this number runs; one that ended and wasn't collected yet doesn't."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # there is no /proc on macOS
        return "\nState:\tZ" not in (PROC / str(pid) / "status").read_text()
    return True


def command_of(pid: int) -> str:
    """Return a process's command line, empty when there is no such process."""
    if (PROC / "self").exists():
        try:
            return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


def children_of(parent: int) -> dict[int, str]:
    """Return the processes that ``parent`` started itself, with their command lines."""
    if (PROC / "self").exists():
        with suppress(OSError):
            listed = (PROC / str(parent) / "task" / str(parent) / "children").read_text().split()
            return {pid: command_of(pid) for pid in map(int, listed)}
        return {}
    shown = subprocess.run(["ps", "-ww", "-axo", "pid=,ppid=,args="], capture_output=True, text=True, check=False)
    rows = (line.split(None, 2) for line in shown.stdout.splitlines())
    return {int(row[0]): row[2] for row in rows if len(row) == 3 and row[1] == str(parent)}


def wait_for(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Wait until ``condition`` holds; False when it didn't in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True
