import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launcher as a module, set in a clone that has lock files and nothing else."""
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    for name in ("embedded", "dev", "bench"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1.0 \\\n    --hash=sha256:0\nb==2\n")
    venv = tmp_path / ".venv"
    for name, value in {"ROOT": tmp_path, "VENV": venv, "STAMP": venv / "installed-locks"}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "VENV_PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    return module


def calls_of(run: ModuleType, monkeypatch: pytest.MonkeyPatch, *, answers: list[bool]) -> list[Path]:
    """Replace making the environment and installing; return the list of lock files asked for."""
    asked: list[Path] = []
    given = iter(answers)

    def install_lock(lock: Path, *_: Any) -> bool:
        asked.append(lock)
        return next(given)

    monkeypatch.setattr(run, "create_venv", lambda: run.VENV.mkdir(exist_ok=True))
    monkeypatch.setattr(run, "venv_runs", run.VENV.exists)
    monkeypatch.setattr(run, "install_with_uv", install_lock)
    monkeypatch.setattr(run, "install_with_pip", install_lock)
    return asked


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_help_lists_every_verb() -> None:
    shown = subprocess.run([sys.executable, ROOT / "run.py", "--help"], capture_output=True, text=True, check=True)

    for verb in ("setup", "demo", "run", "test", "login", "manage", "stop", "wipe"):
        assert f"\n  {verb} " in shown.stdout


def test_it_needs_nothing_but_the_standard_library() -> None:
    isolated = subprocess.run([sys.executable, "-I", "-S", ROOT / "run.py", "--help"], capture_output=True, check=False)

    assert isolated.returncode == 0


def test_packages_are_installed_once_for_the_same_lock_file(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = calls_of(run, monkeypatch, answers=[True, True])

    run.install("embedded")
    run.install("embedded")
    assert [lock.name for lock in asked] == ["embedded.txt"]

    (run.ROOT / "requirements" / "embedded.txt").write_text("a==2\n")
    run.install("embedded")
    assert len(asked) == 2


def test_what_tests_need_counts_for_the_demo_but_not_the_other_way_round(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = calls_of(run, monkeypatch, answers=[True, True, True])

    for name in ("embedded", "dev", "embedded", "bench", "dev"):
        run.install(name)

    assert [lock.name for lock in asked] == ["embedded.txt", "dev.txt", "bench.txt"]


@pytest.mark.parametrize(
    ("verb", "options", "wanted"),
    [("demo", [], "embedded"), ("test", ["-x"], "dev"), ("setup", ["--dev"], "dev"), ("setup", ["--bench"], "bench")],
)
def test_each_verb_gets_the_packages_it_needs(run: ModuleType, verb: str, options: list[str], wanted: str) -> None:
    assert run.wanted_set(verb, options) == wanted


def test_a_failed_installation_is_tried_again(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = calls_of(run, monkeypatch, answers=[False, False, True])

    run.install("embedded")

    assert len(asked) == 3
    assert run.lock_hash("embedded") in run.installed_locks()


def test_an_installation_that_keeps_failing_names_the_likely_reasons(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls_of(run, monkeypatch, answers=[False, False, False])

    with pytest.raises(SystemExit, match="1"):
        run.install("embedded")

    assert "HTTPS_PROXY" in refusal(capsys)
    assert run.installed_locks() == []


def test_a_full_disk_is_named_before_anything_is_written(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = calls_of(run, monkeypatch, answers=[])
    monkeypatch.setattr(run.shutil, "disk_usage", lambda _path: SimpleNamespace(free=300_000_000))

    with pytest.raises(SystemExit):
        run.install("dev")

    assert "has 300 MB free, and 1500 MB are needed" in refusal(capsys)
    assert asked == []
    assert not run.VENV.exists()


def test_an_unfit_python_hands_over_to_a_fitting_one(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(run.shutil, "which", lambda name: "/opt/python3.12" if name == "python3.12" else None)
    monkeypatch.setattr(run.subprocess, "call", lambda *_args, **_options: 0)
    monkeypatch.setattr(run.os, "execv", lambda _path, arguments: started.append(arguments))
    monkeypatch.setattr(run.sys, "argv", ["run.py", "demo"])

    with pytest.raises(SystemExit):  # only because execv returns here
        run.use_fitting_python()

    assert started == [["/opt/python3.12", str(run.ROOT / "run.py"), "demo"]]


def test_an_unfit_python_alone_is_refused_with_what_to_install(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.sys, "version_info", (3, 15, 0, "final", 0))
    monkeypatch.setattr(run.shutil, "which", lambda _name: None)

    with pytest.raises(SystemExit):
        run.use_fitting_python()

    assert "AmazonSender needs Python 3.11 to 3.14" in refusal(capsys)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "part"),
    [
        ("win32", "AMD64", "", "WSL2"),
        ("linux", "x86_64", "x86_64-alpine-linux-musl", "musl (Alpine)"),
        ("linux", "riscv64", "riscv64-linux-gnu", "no wheels of the embedded services for linux on riscv64"),
    ],
)
def test_a_platform_without_wheels_is_refused_with_a_way_out(
    run: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    machine: str,
    libc: str,
    part: str,
) -> None:
    monkeypatch.setattr(run.sys, "platform", system)
    monkeypatch.setattr(run.platform, "machine", lambda: machine)
    monkeypatch.setattr(run.sysconfig, "get_config_var", lambda _name: libc)

    with pytest.raises(SystemExit):
        run.check_platform()

    assert part in refusal(capsys)


def test_without_venv_the_next_way_is_tried_and_the_mend_named_when_none_works(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[list[str]] = []

    def fail(command: list[str]) -> int:
        tried.append(command)
        return 1

    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/uv" if name == "uv" else None)
    monkeypatch.setattr(run.subprocess, "call", fail)

    with pytest.raises(SystemExit):
        run.create_venv()

    assert [command[:3] for command in tried] == [[sys.executable, "-m", "virtualenv"], ["uv", "venv", "-q"]]
    assert "apt install python3-venv" in refusal(capsys)


def test_an_environment_whose_python_is_gone_counts_as_none(run: ModuleType) -> None:
    assert not run.venv_runs()

    (run.VENV / "bin").mkdir(parents=True)
    run.VENV_PYTHON.write_text("#!/nowhere/python\n")
    run.VENV_PYTHON.chmod(0o755)
    assert not run.venv_runs()
