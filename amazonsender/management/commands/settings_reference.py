"""Write docs/settings.md, docs/security.md and .env.example from the code."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from amazonsender.reference import render_files


class Command(BaseCommand):
    """Write what a person reads about settings, or check that it is current."""

    help = (
        "Write docs/settings.md, docs/security.md and .env.example from the code. With --check, only tell which are out of date. "
        "Exit code 0: they are current; 1: with --check, one is not."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing.")

    def handle(self, *_args: Any, **options: Any) -> None:
        rendered = render_files()
        stale = [path for path, text in rendered.items() if not path.exists() or path.read_text() != text]
        for path in stale:
            if options["check"]:
                self.stderr.write(f"{path.name} is out of date: run `python manage.py settings_reference`.")
            else:
                path.write_text(rendered[path])
                self.stdout.write(f"Wrote {path.name}.")
        if stale and options["check"]:
            sys.exit(1)
