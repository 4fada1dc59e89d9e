#!/usr/bin/env python3
"""Set up and run AmazonSender with nothing installed but Python: ``python3 run.py demo``.

Standard library only, and readable by old Pythons too, so that they can say what is missing. ``python3 run.py --help``
lists the verbs; what they do once the packages are there is in ``amazonsender/embedded``.
"""

import argparse
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed-locks"
OLDEST, NEWEST = (3, 11), (3, 14)
ATTEMPTS = 3
# What .venv and .data take at the end, with room for pip's cache.
MEGABYTES = {"embedded": 1000, "dev": 1500, "bench": 1500}
# Each set contains the one before it, so installing one counts for those, too.
SETS = ("embedded", "dev", "bench")

VERBS = {
    "setup": "create .venv with what the demo needs; with --dev, with what tests and checks need; with --bench, rivals too",
    "demo": "start everything and send the sample campaign; FRESH=1 starts over, EXIT=1 ends after the account, "
    "CHAOS=1 kills workers, database and broker meanwhile",
    "run": "start everything without the sample campaign",
    "test": "run the tests; what follows goes to pytest",
    "login": "print a new one-time sign-in link for what is running",
    "manage": "run a management command on what is running, e.g. `manage mailout_status`",
    "stop": "end what is running from another terminal",
    "wipe": "delete the data of this clone",
}


def main(arguments: "list[str]") -> None:
    """Make sure that the packages are there, then hand over to the embedded launcher."""
    listing = "\n".join(f"  {verb:<7} {meaning}" for verb, meaning in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Set up and run AmazonSender with nothing installed but Python.",
        epilog=f"verbs:\n{listing}\n\nHOST=0.0.0.0 and PORT=9000 choose where the web server "
        "listens, PEOPLE=500 how many sample people there are.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="VERB", help="what to do, see below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="passed on")
    given = parser.parse_args(arguments)
    use_fitting_python()
    check_platform()
    try:
        install(wanted_set(given.verb, given.rest))
    except KeyboardInterrupt:
        stop("Interrupted. The next start goes on from here.")
    if given.verb == "setup":
        print("Everything is installed. Next: make demo, or python3 run.py demo")
        return
    os.chdir(ROOT)
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-m", "amazonsender.embedded", given.verb, *given.rest])


def wanted_set(verb: str, options: "list[str]") -> str:
    """Return which of the sets of packages is needed."""
    if "--bench" in options:
        return "bench"
    return "dev" if verb == "test" or "--dev" in options else "embedded"


def stop(message: str) -> None:
    """End with a sentence that says what to do."""
    sys.stderr.write(message + "\n")
    sys.exit(1)


def use_fitting_python() -> None:
    """Go on with another Python of this machine when the present one doesn't fit."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, str(ROOT / "run.py"), *sys.argv[1:]])
    stop(
        f"AmazonSender needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}; this is {platform.python_version()} "
        f"({sys.executable}).\nInstall one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install "
        "python@3.13) and start with it, e.g. python3.13 run.py demo"
    )


def check_platform() -> None:
    """Refuse early where the wheels of the embedded services don't run."""
    machine = platform.machine().lower()
    musl = "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "") or Path("/etc/alpine-release").exists()
    if sys.platform == "win32":
        stop("On Windows this runs in WSL2: wsl --install, then clone and start it there, in your Linux home folder.")
    if sys.platform == "linux" and musl:
        stop(
            "This Linux uses musl (Alpine), for which the embedded PostgreSQL has no wheel. Use a glibc system, such "
            "as the image python:3.13-slim, or run on a PostgreSQL and Redis of your own (docs/)."
        )
    if sys.platform not in {"linux", "darwin"} or machine not in {"x86_64", "amd64", "aarch64", "arm64"}:
        stop(f"There are no wheels of the embedded services for {sys.platform} on {machine}.")


def install(name: str) -> None:
    """Create .venv and install the locked packages, unless the lock file hasn't changed since."""
    lock = ROOT / "requirements" / f"{name}.txt"
    if venv_runs() and lock_hash(name) in installed_locks():
        return
    free = shutil.disk_usage(ROOT).free // 1_000_000
    if free < MEGABYTES[name]:
        stop(f"{ROOT} has {free} MB free, and {MEGABYTES[name]} MB are needed. Make room, then start again.")
    if not venv_runs():
        create_venv()
    total = len(re.findall(r"^[A-Za-z0-9][^\n]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    started = time.time()
    print(f"Installing some {total} packages into .venv; this happens once.", flush=True)
    for attempt in range(1, ATTEMPTS + 1):
        if install_with_uv(lock) if shutil.which("uv") else install_with_pip(lock, total):
            break
        if attempt == ATTEMPTS:
            stop(
                "The packages could not be installed; the reason stands above. Is there a network, and does pip know "
                "its proxy (HTTPS_PROXY, PIP_INDEX_URL)? What is there already is kept: just start again."
            )
        print(f"That failed; trying again in {attempt * 3} s ({attempt + 1} of {ATTEMPTS}).", flush=True)
        time.sleep(attempt * 3)
    covered = SETS[: SETS.index(name) + 1]
    STAMP.write_text("\n".join(lock_hash(each) for each in covered) + "\n", encoding="utf-8")
    print(f"Installed in {time.time() - started:.0f} s.", flush=True)


def lock_hash(name: str) -> str:
    """Return the fingerprint of a lock file."""
    return hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest()


def installed_locks() -> "list[str]":
    """Return the fingerprints of the lock files that .venv satisfies."""
    return STAMP.read_text(encoding="utf-8").split() if STAMP.exists() else []


def venv_runs() -> bool:
    """Tell whether .venv is there and its Python runs and fits; one that was moved or is too old is made anew."""
    if not VENV_PYTHON.exists():
        return False
    probe = f"import sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    try:
        return subprocess.call([VENV_PYTHON, "-c", probe], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def create_venv() -> None:
    """Create .venv by the first way that this machine knows."""
    ways: list[list[str]] = []
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        ways.append([sys.executable, "-m", "venv", str(VENV)])
    if importlib.util.find_spec("virtualenv"):
        ways.append([sys.executable, "-m", "virtualenv", "-q", str(VENV)])
    if shutil.which("virtualenv"):
        ways.append(["virtualenv", "-q", "-p", sys.executable, str(VENV)])
    if shutil.which("uv"):
        ways.append(["uv", "venv", "-q", "--python", sys.executable, str(VENV)])
    for way in ways:
        shutil.rmtree(VENV, ignore_errors=True)
        if subprocess.call(way) == 0 and venv_runs():
            return
    shutil.rmtree(VENV, ignore_errors=True)
    stop(
        "A virtual environment can't be made: Python's venv or ensurepip is missing or fails.\nDebian, Ubuntu: "
        "apt install python3-venv; anywhere: python3 -m pip install --user virtualenv. Then start again."
    )


def install_with_uv(lock: Path) -> bool:
    """Install with uv, which shows its own progress."""
    command = ["uv", "pip", "install", "--python", str(VENV_PYTHON), "--only-binary", ":all:"]
    return subprocess.call([*command, "--require-hashes", "-r", str(lock)], cwd=ROOT) == 0


def install_with_pip(lock: Path, total: int) -> bool:
    """Install with pip, its many lines drawn together into one that counts."""
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--retries", "5", "--timeout", "30", "--progress-bar", "off", "--only-binary", ":all:"]
    command += ["--require-hashes", "-r", str(lock)]
    seen, said = 0, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        for line in process.stdout or ():
            said.append(line)
            name = re.match(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)", line.strip())
            if name:
                seen += 1
                show(f"{min(seen, total):>3}/{total} {name.group(1)}")
            elif line.startswith("Installing collected"):
                show("unpacking; a minute on a slow disk")
    show("")
    if process.returncode:
        sys.stderr.write("".join(said[-15:]))
    return process.returncode == 0


def show(text: str) -> None:
    """Show how far it is on one line of a terminal; elsewhere say nothing rather than a hundred lines."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
