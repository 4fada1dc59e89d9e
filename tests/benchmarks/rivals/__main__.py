"""One rival: says `ready`, waits for a line, sends, says `done` and waits for another, so that both ends can be measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module

import django

MODULES = {"anymail": "anymail_bulk", "boto3": "boto3_loop", "smtp": "smtp_backend", "post_office": "post_office_queue"}


def main() -> None:
    """Parse the command line and send."""
    parser = argparse.ArgumentParser(prog="rivals", description=__doc__)
    parser.add_argument("name", choices=sorted(MODULES))
    parser.add_argument("count", type=int, help="people")
    parser.add_argument("--again", action="store_true", help="after it was killed")
    options = parser.parse_args()
    django.setup()
    rival = import_module(f"tests.benchmarks.rivals.{MODULES[options.name]}")
    send: Callable[[], None] = lambda: rival.send(options.count)  # noqa: E731
    if options.name == "post_office":
        if options.again:
            send = rival.empty
        else:
            rival.prepare()
    _say("ready")
    send()
    _say("done")


def _say(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
