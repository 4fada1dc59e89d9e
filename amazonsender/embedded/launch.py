"""What ``run.py`` starts once the packages are there: demo, run, test, manage, stop, wipe."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from amazonsender.core.loopback import LOOPBACK_HOSTS, WILDCARD_HOSTS
from amazonsender.core.processes import end_stranger, spawn, wait_for
from amazonsender.embedded.chaos import SEND_SECONDS, Chaos
from amazonsender.embedded.environment import ignored_settings, own_environment
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import KEPT_PORT_SECONDS, OWN_FILES, PROJECT, Home, find_home, free_port, listen_on
from amazonsender.embedded.services import Services, end_left_overs

WEB_PORT = 8000
LOCALSES_PORT = 8025
OWNER = "owner@example.com"
OWN_MAIL_DOMAIN = "amazonsender.example"  # of the product's own letters unless SYSTEM_EMAIL_FROM says another
ORGANIZATION = "My organization"
# How long the stack may take to finish what it is sending before it is killed.
STOP_SECONDS = 30.0


def say(text: str) -> None:
    """Print a line for the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run_demo(options: Mapping[str, str]) -> int:
    """Start everything with the sample campaign; ``FRESH`` starts over, ``EXIT`` ends after the account.

    ``PEOPLE`` sends to another number of sample people than 10,000. ``CHAOS`` kills workers, database and broker
    meanwhile, at moments that ``SEED`` repeats.
    """
    command = "seed_demo"
    for name in ("PEOPLE", "SEED"):
        if not (options.get(name) or "0").isdecimal():
            raise EmbeddedError(f"{name}={options[name]} is no number.")
    if options.get("PEOPLE") and not int(options["PEOPLE"]):
        raise EmbeddedError("PEOPLE=0: a campaign needs somebody to go to.")
    if people := options.get("PEOPLE", ""):
        command += f" --people {people}"
    seed = None
    if _wants(options, "CHAOS"):
        seed = int(options.get("SEED") or random.randrange(1, 1000))  # noqa: S311 - any other will do
        command += f" --last {SEND_SECONDS}"
    ends = _wants(options, "EXIT")
    if ends or seed is not None:
        command += " --verify"
    return _run_stack(options, ["--then", command, *(["--exit"] if ends else [])], sample=True, chaos_seed=seed)


def run_plain(options: Mapping[str, str]) -> int:
    """Start everything without the sample."""
    return _run_stack(options, ["--then", f"sign_in_link {OWNER}"], sample=False)


def run_tests(arguments: Sequence[str]) -> int:
    """Run pytest on services of its own, made for this run and thrown away after it."""
    environment = own_environment(os.environ, "TEST_")
    _say_what_is_ignored("TEST_")
    _end_like_an_interrupt()
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-test-"))
    try:
        home = find_home(folder)
        with Services(home, environment, throwaway=True):
            command = [sys.executable, "-m", "pytest", *arguments]
            return subprocess.run(command, env=environment, cwd=PROJECT, check=False).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def manage(arguments: Sequence[str]) -> int:
    """Run a management command in the environment of the running demo."""
    home = find_home(_explicit_home(), create=False)
    if home.lock_holder() is None:
        raise EmbeddedError("Nothing is running here. Start it with `make demo` or `python3 run.py demo`.")
    return _manage(arguments, home.kept_environment())


def stop() -> int:
    """End the running demo from another terminal."""
    home = find_home(_explicit_home(), create=False)
    pid = home.lock_holder()
    if pid is None:
        say("Nothing is running here.")
        return 0
    end_stranger(pid, signal.SIGTERM, seconds=STOP_SECONDS + 30)
    say("Stopped.")
    return 0


def wipe() -> int:
    """Delete the data of this clone: database, mail of Local SES, secrets and ports."""
    home = find_home(_explicit_home(), create=False)
    if home.lock_holder() is not None:
        raise EmbeddedError("It is still running. Stop it first: Ctrl-C there, or `python3 run.py stop`.")
    end_left_overs(home)
    shutil.rmtree(home.path, ignore_errors=True)
    say(f"Deleted {home.path}.")
    return 0


def stack_environment(home: Home) -> dict[str, str]:
    """Compose what the settings read in a demo: addresses, ports and secrets of this clone."""
    given = own_environment(os.environ, "DEMO_")
    host = _host()
    reader_host = "localhost" if host in WILDCARD_HOSTS | LOOPBACK_HOSTS else host
    web_port, localses_port = home.remembered("web_port"), home.remembered("localses_port")
    localses = home.path / "localses"
    return {
        "DJANGO_SETTINGS_MODULE": "amazonsender.settings.local",
        "AMAZONSENDER_IGNORE_DOTENV": "1",
        "ENVIRONMENT": "demo",
        "DATA_DIR": str(home.path),
        "SECRET_KEY": home.secret("secret_key"),
        "TOKEN_KEYS": f"1:{home.secret('token_key')}",
        "PUBLIC_URL": f"http://{reader_host}:{web_port}",
        # Other machines call this one by names and addresses that it may not know; links are made of PUBLIC_URL alone.
        "ALLOWED_HOSTS": "*" if host in WILDCARD_HOSTS else f"localhost,127.0.0.1,{reader_host}",
        "LOCALSES_URL": f"http://127.0.0.1:{localses_port}",
        "LOCALSES_HOST": host,
        "LOCALSES_PORT": localses_port,
        "LOCALSES_PUBLIC_URL": f"http://{reader_host}:{localses_port}",
        "LOCALSES_DATA": str(localses),
        "LOCALSES_CERTIFICATE": str(localses / "certificate.pem"),
        "LOCALSES_IDENTITIES": OWN_MAIL_DOMAIN,
        "LOCALSES_ACCESS_KEY": home.secret("localses_access_key", size=8),
        "LOCALSES_SECRET_KEY": home.secret("localses_secret_key", size=20),
    } | given


def _run_stack(options: Mapping[str, str], then: list[str], *, sample: bool, chaos_seed: int | None = None) -> int:
    home = find_home(_explicit_home())
    lock = home.lock()
    if lock is None:
        raise EmbeddedError(f"It is already running, as process {home.lock_holder()}: {home.remembered('web_url')}")
    if _wants(options, "FRESH"):
        _empty(home)
    _say_what_is_ignored("DEMO_")
    held = ExitStack()
    _choose_ports(home, held)
    environment = stack_environment(home)
    has_moved = home.remembered("web_url") not in {"", environment["PUBLIC_URL"]}
    home.remember("web_url", environment["PUBLIC_URL"])
    say(f"Data of this clone: {home.path}")
    _end_like_an_interrupt()
    with lock, held:
        try:
            if not _are_understood(environment):
                return 1
            with Services(home, environment) as services:
                home.keep_environment(environment)
                say(f"Services: {', '.join(service.name for service in services.started) or 'yours'}")
                failed = _prepare(home, environment, sample=sample) or (has_moved and _confirm_home(environment))
                if failed:
                    return failed
                chaos = None if chaos_seed is None else Chaos(services, log=home.log_path, seed=chaos_seed, say=say)
                held.close()  # the stack is about to listen there itself
                return _supervise(home, environment, services, then, chaos)
        except KeyboardInterrupt:
            return 0
        finally:
            say("Stopped.")


def _are_understood(environment: Mapping[str, str]) -> bool:
    """Read the settings, before services take half a minute; what is wrong with ``DEMO_…`` is said by them."""
    command = [sys.executable, "-c", "from django.conf import settings; settings.SECRET_KEY"]
    return subprocess.run(command, env=dict(environment), cwd=PROJECT, check=False).returncode == 0


def _prepare(home: Home, environment: Mapping[str, str], *, sample: bool) -> int:
    """Bring the database up to date; without the sample, make an organization to start with, once."""
    started = time.monotonic()
    if failed := _manage(["migrate", "--verbosity", "0"], environment):
        return failed
    say(f"Database: up to date ({time.monotonic() - started:.1f} s)")
    # Once only: bootstrap finds it by its name, which people change.
    if sample or home.remembered("organization"):
        return 0
    failed = _manage(["bootstrap", "--email", OWNER, "--organization", ORGANIZATION], environment, quiet=True)
    if not failed:
        home.remember("organization", ORGANIZATION)
    return failed


def _confirm_home(environment: Mapping[str, str]) -> int:
    """The address changed because HOST or PORT did: a copied database it is not, so nothing has to wait for a person."""
    return _manage(["confirm_home", "--yes"], environment, quiet=True)


def _supervise(
    home: Home, environment: dict[str, str], services: Services, then: list[str], chaos: Chaos | None
) -> int:
    """Run the stack as a child, and revive services that die under it; ``chaos`` kills and revives by itself."""
    command = [sys.executable, "manage.py", "runstack", "--host", _host(), "--port", home.remembered("web_port")]
    command += ["--log-file", str(home.log_path), *then]
    stack = spawn(command, env=environment, output=None, cwd=PROJECT)
    try:
        while True:
            try:
                return stack.wait(1.0 if chaos is None else 0.1)
            except subprocess.TimeoutExpired:
                if chaos is not None:
                    chaos.step(stack.pid)
                services.revive()
    except KeyboardInterrupt:
        stack.send_signal(signal.SIGTERM)
        try:
            return stack.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return 1
    finally:
        stack.kill()
        stack.wait()


def _manage(arguments: Sequence[str], environment: Mapping[str, str], *, quiet: bool = False) -> int:
    """Run a management command; a quiet one is heard only when it fails."""
    command = [sys.executable, "manage.py", *arguments]
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(command, env=dict(environment), cwd=PROJECT, stdout=output, stderr=output, check=False)
    if quiet and done.returncode:
        sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.returncode


def _choose_ports(home: Home, held: ExitStack) -> None:
    """Settle web's and Local SES's port; say so when an address in mail of before no longer leads here.

    Both are ``held`` until they are needed, because preparing takes half a minute, in which another clone chooses.
    """
    before = home.remembered("web_port")
    held.enter_context(_take_port(home, "web", variable="PORT", preferred=WEB_PORT))
    held.enter_context(_take_port(home, "localses", variable="LOCALSES_PORT", preferred=LOCALSES_PORT))
    now = home.remembered("web_port")
    if before and now != before:
        say(f"The port is now {now}, no longer {before}: links in mail sent until now lead nowhere.")


def _take_port(home: Home, name: str, *, variable: str, preferred: int) -> socket.socket:
    """Take the port that ``variable`` names, or the remembered one, or the next free one from ``preferred`` on."""
    host, wanted = _host(), os.environ.get(variable, "")
    if not wanted:
        return home.hold_port(name, host=host, preferred=preferred)
    if wanted == home.remembered(f"{name}_port"):  # what still ends after a run that was killed lets go of it
        wait_for(lambda: bool(free_port(host, int(wanted))), seconds=KEPT_PORT_SECONDS)
    taken = listen_on(host, int(wanted)) if wanted.isdecimal() and int(wanted) else None
    if taken is None:
        raise EmbeddedError(f"{variable}={wanted} is taken by another program, or no port. Choose another one.")
    home.remember(f"{name}_port", str(int(wanted)))
    return taken


def _empty(home: Home) -> None:
    end_left_overs(home)
    for entry in home.path.iterdir():
        if entry.name == "lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _wants(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "") not in {"", "0"}


def _host() -> str:
    return os.environ.get("HOST", "") or "127.0.0.1"


def _explicit_home() -> Path | None:
    named = os.environ.get("DEMO_DATA_DIR", "")
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    found = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if found and not found & OWN_FILES:
        raise EmbeddedError(
            f"DEMO_DATA_DIR={named} holds other things, which FRESH=1 and wipe would delete. Name an empty folder."
        )
    return folder


def _say_what_is_ignored(prefix: str) -> None:
    ignored = ignored_settings(os.environ, prefix)
    if ignored:
        say(f"Not used: {', '.join(ignored)} of your environment. If you mean it, say {prefix}{ignored[0]}=…")


def _end_like_an_interrupt() -> None:
    """Let SIGTERM and a closed terminal end everything the way Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
