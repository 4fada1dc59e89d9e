import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from amazonsender.core.processes import running, wait_for
from amazonsender.stack.child import Child, Program, describe_end
from amazonsender.stack.console import Console, LineBuffer, wants_colour
from amazonsender.stack.programs import list_programs

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]

# A supervisor of its own in a process of its own, as signals and reaping concern a whole process.
PREAMBLE = """
import os, sys
from pathlib import Path
from amazonsender.stack.child import Program
from amazonsender.stack.console import Console
from amazonsender.stack.supervisor import Afterwards, Supervisor

def python(code):
    return [sys.executable, "-c", code]

def supervise(*programs, quiet=False, **options):
    console = Console(sys.stdout, tuple(program.name for program in programs), quiet=quiet)
    supervisor = Supervisor(programs, environment=os.environ, folder=Path("."), console=console, **options)
    sys.exit(supervisor.run())
"""
FOREVER = "print('up', os.getpid(), flush=True); time.sleep(60)"


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def read_until(process: subprocess.Popen[str], part: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if part in line:
            return lines
    pytest.fail(f"{part!r} was not printed: {lines}")


def numbers(lines: Sequence[str]) -> dict[str, int]:
    return {line.split(" | ")[0].strip(): int(line.split()[-1]) for line in lines if "| up " in line}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_program_with_code_0(number: signal.Signals) -> None:
    with start(f"""
        program = python("import os, time; {FOREVER}")
        supervise(Program("a", program), Program("b", program, ends_in=2), welcome="Ready")
    """) as process:
        pids: dict[str, int] = {}
        while len(pids) < 2:
            pids |= numbers(read_until(process, "| up "))
        process.send_signal(number)

    assert process.returncode == 0
    assert not any(running(pid) for pid in pids.values())


def test_programs_that_others_need_while_they_finish_end_last() -> None:
    finish = "import signal, sys, time; print('up', 0, flush=True)\n"
    finish += "signal.signal(signal.SIGTERM, lambda *_: (print('finished', flush=True), sys.exit()))\ntime.sleep(60)"
    with start(f"""
        program = python({finish!r})
        supervise(Program("web", program, ends_in=2), Program("worker", program))
    """) as process:
        read_until(process, "| up ")
        read_until(process, "| up ")
        process.terminate()
        assert process.stdout is not None
        ended = [line.split()[0] for line in process.stdout if "finished" in line]

    assert ended == ["worker", "web"]


def test_a_program_that_dies_is_reported_and_started_again_with_growing_delays() -> None:
    with start("""supervise(Program("web", python("raise SystemExit(3)")))""") as process:
        lines = read_until(process, "again in 2 s")
        process.terminate()

    assert [line for line in lines if line.startswith("stack")] == [
        "stack | web ended with code 3; starting it again in 1 s.",
        "stack | web ended with code 3; starting it again in 2 s.",
    ]


def test_children_of_a_killed_program_are_ended_before_it_is_started_again() -> None:
    code = "import os, signal, subprocess; child = subprocess.Popen(['sleep', '60']); "
    code += "print('up', child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    with start(f"""supervise(Program("web", python({code!r})))""") as process:
        lines = read_until(process, "was killed by SIGKILL")
        (grandchild,) = numbers(lines).values()

        assert wait_for(lambda: not Path(f"/proc/{grandchild}").exists(), seconds=5), "a zombie or an orphan stays"
        process.terminate()


def test_no_program_outlives_a_killed_supervisor() -> None:
    with start(f"""supervise(Program("web", python("import os, time; {FOREVER}")))""") as process:
        (pid,) = numbers(read_until(process, "| up ")).values()
        process.kill()

    assert wait_for(lambda: not running(pid), seconds=5)


def test_a_program_that_ignores_the_signal_is_killed_on_a_second_one() -> None:
    stubborn = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
    with start(f"""supervise(Program("web", python({stubborn!r})))""") as process:
        (pid,) = numbers(read_until(process, "| up ")).values()
        process.terminate()
        time.sleep(0.5)
        assert running(pid)
        began = time.monotonic()
        process.terminate()
        process.wait()

    assert time.monotonic() - began < 5
    assert not running(pid)


def test_the_command_that_runs_afterwards_waits_for_the_answer_and_its_code_is_the_end(tmp_path: Path) -> None:
    with start(f"""
        answered = iter([False, False, True])
        supervise(
            Program("web", python("import os, time; {FOREVER}")),
            quiet=True,
            ready=lambda: next(answered),
            afterwards=Afterwards(python("import sys; print('account'); sys.exit(5)"), exit=True),
        )
    """) as process:
        output, _ = process.communicate(timeout=30)

    assert process.returncode == 5
    assert output.splitlines() == ["account", "stack | The command ended with code 5."]


def test_after_the_command_the_group_stays_up_and_its_log_is_shown() -> None:
    with start("""
        supervise(
            Program("web", python("import time\\nwhile True: print('tick', flush=True); time.sleep(0.1)")),
            quiet=True, afterwards=Afterwards(python("print('account')")), welcome="Ready at http://localhost:1.",
        )
    """) as process:
        lines = read_until(process, "| tick")
        process.terminate()

    assert lines[:2] == ["account", "stack | Ready at http://localhost:1."]
    assert process.returncode == 0


def test_a_program_that_dies_while_the_log_is_hidden_shows_its_last_lines() -> None:
    with start("""
        supervise(Program("web", python("print('Traceback'); raise SystemExit(1)")), quiet=True, ready=lambda: False)
    """) as process:
        lines = read_until(process, "again in 1 s")
        process.terminate()

    assert lines == ["web   | Traceback", "stack | web ended with code 1; starting it again in 1 s."]


def test_what_never_answers_is_given_up_with_the_last_lines_of_everything() -> None:
    with start(f"""
        from amazonsender.stack import supervisor
        supervisor.READY_SECONDS = 1
        supervise(Program("web", python("import os, time; {FOREVER}")), quiet=True, ready=lambda: False)
    """) as process:
        output, _ = process.communicate(timeout=30)

    assert process.returncode == 1
    assert [line.split(" | ")[0] for line in output.splitlines()] == ["web  ", "stack"]
    assert output.endswith("Not everything answered within 1 s; giving up.\n")


def test_the_command_that_runs_afterwards_ends_with_the_group() -> None:
    with start(f"""
        program = python("import os, time; {FOREVER}")
        supervise(Program("web", program), afterwards=Afterwards(program))
    """) as process:
        pid = int(read_until(process, "up ")[-1].split()[-1])
        other = int(read_until(process, "up ")[-1].split()[-1])
        process.terminate()

    assert process.returncode == 0
    assert not running(pid)
    assert not running(other)


def test_a_closed_pipe_ends_everything() -> None:
    with start("""
        supervise(Program("web", python("import time\\nwhile True: print('tick', flush=True); time.sleep(0.05)")))
    """) as process:
        read_until(process, "tick")
        assert process.stdout is not None
        process.stdout.close()

        assert process.wait(15) == 0


def test_a_delay_doubles_to_half_a_minute_and_starts_over_after_a_minute_of_health() -> None:
    child = Child(Program("web", []))
    now = time.monotonic()

    assert [child.plan_restart(now) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert child.plan_restart(now - 61) == 1


def test_lines_are_cut_where_they_end_whatever_pieces_they_come_in() -> None:
    buffer = LineBuffer()

    assert buffer.feed(b"one\ntw") == ["one"]
    assert buffer.feed(b"o\r\n\xff\nrest") == ["two", "\N{REPLACEMENT CHARACTER}"]
    assert buffer.flush() == ["rest"]
    assert buffer.flush() == []
    assert len(buffer.feed(b"x" * 70_000)) == 1


def test_names_have_one_width_and_a_colour_only_where_it_is_wanted() -> None:
    plain, coloured, log = io.StringIO(), io.StringIO(), io.StringIO()

    Console(plain, ("web", "scheduler"), log=log).line("web", "hello")
    Console(coloured, ("web", "scheduler"), colour=True).line("scheduler", "hello")

    assert plain.getvalue() == log.getvalue() == "web       | hello\n"
    assert coloured.getvalue() == "\x1b[32mscheduler |\x1b[0m hello\n"
    assert wants_colour(plain, {"FORCE_COLOR": "1"})
    assert not wants_colour(plain, {"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert not wants_colour(plain, {})


def test_an_end_is_described_by_code_or_signal() -> None:
    assert describe_end(2) == "ended with code 2"
    assert describe_end(-9) == "was killed by SIGKILL"


def test_local_ses_belongs_to_the_group_only_where_it_is_configured() -> None:
    options = {"host": "127.0.0.1", "port": 8000, "send_processes": 3}

    names = [program.name for program in list_programs(**options, localses=False)]  # type: ignore[arg-type]
    send = list_programs(**options, localses=True)[1]  # type: ignore[arg-type]

    assert names == ["web", "send", "work", "scheduler"]
    assert list_programs(**options, localses=False, queues=True)[-1].name == "queues"  # type: ignore[arg-type]
    assert list_programs(**options, localses=True)[-1].name == "localses"  # type: ignore[arg-type]
    assert send.command[send.command.index("-c") + 1] == "3"
    assert os.path.basename(send.command[0]).startswith("python")  # noqa: PTH119 - a plain comparison of names
