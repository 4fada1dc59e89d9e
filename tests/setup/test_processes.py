import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amazonsender.core import processes
from amazonsender.core.processes import children_of, command_of, end, end_stranger, running, spawn, wait_for

pytestmark = pytest.mark.processes

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def start(code: str) -> subprocess.Popen[bytes]:
    process = spawn([sys.executable, "-c", code], env=os.environ, output=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.stdout.close()
    return process


def test_a_program_that_does_not_end_when_asked_is_killed_in_the_end() -> None:
    process = start(STUBBORN)

    end(process, signal.SIGTERM, seconds=0.3)

    assert process.returncode == -signal.SIGKILL


def test_a_stranger_that_does_not_end_when_asked_is_killed_in_the_end() -> None:
    process = start(STUBBORN)

    end_stranger(process.pid, signal.SIGTERM, seconds=0.3)

    assert process.wait(5) == -signal.SIGKILL


def test_ending_a_stranger_that_is_gone_already_is_no_error() -> None:
    process = start("print('up')")
    process.wait()

    end_stranger(process.pid, signal.SIGTERM, seconds=1)

    assert not running(process.pid)


def test_a_process_that_ended_but_was_not_collected_does_not_run() -> None:
    process = start("print('up')")

    assert wait_for(lambda: not running(process.pid), seconds=5)
    process.wait()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may signal every process")
def test_a_process_of_another_user_runs() -> None:
    assert running(1)


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_command_line_is_read_with_and_without_proc(monkeypatch: pytest.MonkeyPatch, *, has_proc: bool) -> None:
    if not has_proc:
        monkeypatch.setattr(processes, "PROC", Path("/nowhere"))
    process = start("print('up', flush=True); import time; time.sleep(60)")

    assert "import time; time.sleep(60)" in command_of(process.pid)
    end(process, signal.SIGKILL, seconds=5)
    assert command_of(process.pid) == ""


@pytest.mark.parametrize("has_proc", [True, False])
def test_the_children_of_a_process_are_found_with_and_without_proc(
    monkeypatch: pytest.MonkeyPatch, *, has_proc: bool
) -> None:
    if not has_proc:
        monkeypatch.setattr(processes, "PROC", Path("/nowhere"))
    process = start("print('up', flush=True); import time; time.sleep(61)")

    assert "import time; time.sleep(61)" in children_of(os.getpid())[process.pid]
    assert children_of(process.pid) == {}
    end(process, signal.SIGKILL, seconds=5)
    assert children_of(process.pid) == {}


def test_a_program_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it() -> None:
    process = start("print('up', flush=True); import time; time.sleep(60)")

    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    end(process, signal.SIGKILL, seconds=5)


def test_programs_start_where_the_kernel_knows_no_parent_death_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LIBC", None)
    processes.adopt_orphans()
    process = start("print('up', flush=True); import time; time.sleep(60)")

    end(process, signal.SIGTERM, seconds=5)

    assert process.returncode == -signal.SIGTERM


def test_waiting_ends_at_its_limit() -> None:
    began = time.monotonic()

    assert wait_for(lambda: False, seconds=0.2) is False
    assert 0.2 <= time.monotonic() - began < 2
