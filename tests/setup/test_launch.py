import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from amazonsender.core.processes import wait_for
from amazonsender.embedded import launch as embedded_launch
from amazonsender.embedded.__main__ import main
from amazonsender.embedded.chaos import Chaos
from amazonsender.embedded.home import Home, find_home
from amazonsender.embedded.launch import stack_environment
from amazonsender.reference import declared_variables

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_services_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """This run of the tests may have been given services; what is started here is not."""
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"TEST_{name}", raising=False)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A clone's folder of its own, and nothing of the surroundings."""
    for name in ("HOST", "PORT", "FRESH", "EXIT", "PEOPLE", "CHAOS", "SEED"):
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-test-"))
    folder.chmod(0o755)
    monkeypatch.setenv("DEMO_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("LOCALSES_PORT", str(free_port()))  # others start demos at the same moment
    # Where only the launcher itself is under test, its settings need no process of their own.
    monkeypatch.setattr(embedded_launch, "_are_understood", lambda _environment: True)
    yield find_home(folder / "data")
    shutil.rmtree(folder)


def launch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "amazonsender.embedded", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": "postgresql://production.example/db", "SENTRY_DSN": "https://real"},
    )


def answer_of(*arguments: str) -> tuple[int, str]:
    process = launch(*arguments)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def read_until(process: subprocess.Popen[str], pattern: str) -> tuple[str, list[str]]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip())
        found = re.search(pattern, line)
        if found:
            return found.group(), lines
    pytest.fail(f"{pattern} was not printed:\n" + "\n".join(lines))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_run_from_the_first_start_to_the_wipe(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))

    with launch("run") as process:
        try:
            link, lines = read_until(process, rf"http://localhost:{port}/\S+")
            assert "Not used: DATABASE_URL, SENTRY_DSN of your environment. If you mean it, say DEMO_" in "\n".join(
                lines
            )
            read_until(process, "Ready at")
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=10).status == 200
            assert urllib.request.urlopen(link, timeout=10).status == 200

            code, output = answer_of("run")
            assert code == 1
            assert f"already running, as process {process.pid}: http://localhost:{port}" in output

            code, output = answer_of("login")
            assert code == 0
            assert re.search(rf"http://localhost:{port}/\S+", output)

            code, output = answer_of("manage", "showmigrations", "organizations", "--plan")
            assert code == 0
            assert "[X]  organizations.0001_initial" in output

            code, output = answer_of("wipe")
            assert code == 1
            assert "still running" in output

            _web_of(process.pid).kill()
            read_until(process, "web was killed by SIGKILL; starting it again in 1 s")
            assert wait_for(lambda: _answers(port), seconds=20)
        finally:
            code, output = answer_of("stop")

    assert (code, output) == (0, "Stopped.\n")
    assert process.returncode == 0
    assert not _answers(port)
    assert home.lock_holder() is None
    assert home.remembered("web_port") == str(port)

    assert answer_of("wipe") == (0, f"Deleted {home.path}.\n")
    assert not home.path.exists()


def test_a_demo_that_ends_after_its_account_succeeds_when_both_records_agree(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)  # the run above measures the same processes, at half their speed
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("PEOPLE", "150")
    monkeypatch.setenv("EXIT", "1")
    monkeypatch.setenv("FRESH", "1")

    code, output = answer_of("demo")

    assert code == 0, output
    assert re.search(r"^candidates +150$", output, re.MULTILINE)
    sent = re.search(r"^ +sent +(\d+)$", output, re.MULTILINE)
    assert sent
    assert f"person by person: {sent.group(1)} sent, {sent.group(1)} accepted." in output


def test_a_demo_with_wrong_settings_is_refused_before_anything_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_ENGINE_SLOTS", "two")
    monkeypatch.setenv("DEMO_SENDING_MODE", "dry")

    code, output = answer_of("demo")

    assert code == 1
    assert "(amazonsender.E041) ENGINE_SLOTS is 'two': not a whole number." in output
    assert "(amazonsender.E043) SENDING_MODE is 'dry': not one of its words." in output
    assert "Traceback" not in output
    assert "Services:" not in output


@pytest.mark.parametrize("ends", [True, False])
def test_chaos_slows_the_campaign_down_and_compares_the_records(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ends: bool
) -> None:
    told: list[object] = []

    def supervise(*arguments: object) -> int:
        told.extend(arguments[-2:])
        return 0

    monkeypatch.setattr(embedded_launch, "_manage", lambda *_arguments, **_options: 0)
    monkeypatch.setattr(embedded_launch, "_supervise", supervise)
    monkeypatch.setattr(embedded_launch, "Services", lambda *_arguments: no_services())
    monkeypatch.setattr(embedded_launch, "_end_like_an_interrupt", lambda: None)
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("CHAOS", "1")
    monkeypatch.setenv("SEED", "12")
    if ends:
        monkeypatch.setenv("EXIT", "1")

    assert main(["demo"]) == 0

    then, chaos = told
    assert then == ["--then", "seed_demo --last 60 --verify", *(["--exit"] if ends else [])]
    assert isinstance(chaos, Chaos)
    assert "SEED=12" in capsys.readouterr().out


@pytest.mark.parametrize("moved", [True, False])
def test_another_port_needs_no_person_to_confirm_the_home(
    home: Home, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """Accounts park when the address in links changes; here this launcher knows why it did."""
    commands: list[list[str]] = []

    def run(arguments: list[str], _environment: dict[str, str], **_options: bool) -> int:
        commands.append(arguments)
        return 0

    monkeypatch.setattr(embedded_launch, "_manage", run)
    monkeypatch.setattr(embedded_launch, "_supervise", lambda *_arguments: 0)
    monkeypatch.setattr(embedded_launch, "Services", lambda *_arguments: no_services())
    monkeypatch.setattr(embedded_launch, "_end_like_an_interrupt", lambda: None)
    first = free_port()
    monkeypatch.setenv("PORT", str(first))
    assert main(["demo"]) == 0
    assert ["confirm_home", "--yes"] not in commands

    monkeypatch.setenv("PORT", str(free_port() if moved else first))
    assert main(["demo"]) == 0

    assert (["confirm_home", "--yes"] in commands) == moved


@pytest.mark.parametrize(
    ("people", "said"),
    [("many", "PEOPLE=many is no number.\n"), ("0", "PEOPLE=0: a campaign needs somebody to go to.\n")],
)
def test_a_number_of_people_that_is_none_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], people: str, said: str
) -> None:
    monkeypatch.setenv("PEOPLE", people)

    assert main(["demo"]) == 1
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("variable", ["PORT", "LOCALSES_PORT"])
@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_a_port_that_is_none_is_refused_before_anything_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, port: str
) -> None:
    monkeypatch.setenv(variable, port)

    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert said == f"{variable}={port} is taken by another program, or no port. Choose another one.\n"


def test_a_port_that_is_named_wins_over_the_remembered_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    environments: list[dict[str, str]] = []

    def note(_home: Home, environment: dict[str, str]) -> nullcontext[SimpleNamespace]:
        environments.append(environment)
        return no_services()

    for name in ("web_port", "localses_port"):
        home.remember(name, str(free_port()))
    web, localses = str(free_port()), str(free_port())
    monkeypatch.setenv("PORT", web)
    monkeypatch.setenv("LOCALSES_PORT", localses)
    monkeypatch.setattr(embedded_launch, "_prepare", lambda *_arguments, **_options: 1)
    monkeypatch.setattr(embedded_launch, "Services", note)
    monkeypatch.setattr(embedded_launch, "_end_like_an_interrupt", lambda: None)

    assert main(["demo"]) == 1

    [environment] = environments
    assert environment["PUBLIC_URL"] == f"http://localhost:{web}"
    assert environment["LOCALSES_URL"] == f"http://127.0.0.1:{localses}"
    assert environment["LOCALSES_PORT"] == localses


def no_services() -> nullcontext[SimpleNamespace]:
    return nullcontext(SimpleNamespace(started=[]))


def test_the_ports_are_held_until_the_stack_starts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []

    def look(*_arguments: object) -> int:
        taken.append(_listens(int(home.remembered("web_port"))) and _listens(int(home.remembered("localses_port"))))
        return 0

    monkeypatch.setattr(embedded_launch, "_prepare", lambda *arguments, **_options: look(*arguments))
    monkeypatch.setattr(embedded_launch, "_supervise", look)
    monkeypatch.setattr(embedded_launch, "Services", lambda *_arguments: no_services())
    monkeypatch.setattr(embedded_launch, "_end_like_an_interrupt", lambda: None)

    assert main(["demo"]) == 0
    assert taken == [True, False]


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _web_of(pid: int) -> psutil.Process:
    below = psutil.Process(pid).children(recursive=True)
    return next(
        child for child in below if "granian" in child.cmdline() and "amazonsender.wsgi:application" in child.cmdline()
    )


def _answers(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=2).status == 200)
    except OSError:
        return False


def test_tests_run_on_services_of_their_own_which_are_gone_afterwards() -> None:
    code, output = answer_of("test", "-q", "-p", "no:cacheprovider", "tests/setup/test_env.py")

    assert code == 0
    assert "passed" in output
    assert "Not used: DATABASE_URL, SENTRY_DSN" in output


def test_a_run_in_which_nothing_runs_says_how_to_start(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login"]) == 1
    assert "Start it with `make demo`" in capsys.readouterr().err
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "Nothing is running here.\n"
    assert main(["dance"]) == 2


def test_a_port_that_is_taken_is_refused_when_it_was_asked_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))

        assert main(["run"]) == 1

    assert "is taken by another program" in capsys.readouterr().err


def test_the_environment_of_a_demo_names_only_settings_that_exist(home: Home) -> None:
    home.remember("web_port", "8000")
    home.remember("localses_port", "8025")

    names = set(stack_environment(home))

    # Local SES and the machine have their own names; the product reads the rest.
    theirs = {name for name in names if name.startswith(("LOCALSES_", "AWS_"))} | {
        "DJANGO_SETTINGS_MODULE",
        "AMAZONSENDER_IGNORE_DOTENV",
    }
    ours = {"ENVIRONMENT", "DATA_DIR", "SECRET_KEY", "TOKEN_KEYS", "PUBLIC_URL", "ALLOWED_HOSTS"}
    assert ours <= names - theirs
    assert ours | {"LOCALSES_URL", "LOCALSES_CERTIFICATE", "LOCALSES_ACCESS_KEY"} <= set(declared_variables())


@pytest.mark.parametrize("verb", ["wipe", "demo", "stop"])
def test_a_folder_with_other_things_is_never_taken_nor_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (tmp_path / "thesis.odt").write_text("years of work")
    mode = tmp_path.stat().st_mode
    monkeypatch.setenv("DEMO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FRESH", "1")

    assert main([verb]) == 1

    assert "Name an empty folder." in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.odt"]
    assert tmp_path.stat().st_mode == mode


@pytest.mark.parametrize(("host", "allowed"), [("0.0.0.0", "*"), ("", "localhost,127.0.0.1,localhost")])
def test_other_machines_may_look_where_that_was_asked_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, host: str, allowed: str
) -> None:
    home.remember("web_port", "8000")
    monkeypatch.setenv("HOST", host)

    environment = stack_environment(home)

    assert environment["ALLOWED_HOSTS"] == allowed
    assert environment["PUBLIC_URL"] == "http://localhost:8000"


def test_secrets_of_a_run_are_kept_from_other_users(home: Home) -> None:
    home.keep_environment({"DATABASE_URL": "postgresql://user:password@host/db"})

    kept = home.path / "environment.json"

    assert json.loads(kept.read_text()) == {"DATABASE_URL": "postgresql://user:password@host/db"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_address_open_to_the_network_is_reached_as_localhost(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.remember("web_port", "9000")
    monkeypatch.setenv("HOST", "0.0.0.0")

    environment = stack_environment(home)

    assert environment["PUBLIC_URL"] == "http://localhost:9000"
    assert environment["LOCALSES_HOST"] == "0.0.0.0"
