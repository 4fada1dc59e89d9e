"""Writes docs/settings.md, docs/security.md and .env.example from the settings and the tables that they speak of."""

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from django.conf import settings

from amazonsender.check_table import render_checks
from amazonsender.core.env import Variable
from amazonsender.security_page import render_security

# Importing these reads, and so declares, every variable there is.
DECLARING_MODULES = ("amazonsender.settings.base", "amazonsender.settings.production")

EXAMPLE_WIDTH = 110

INTRODUCTION = """# Settings

Written by `manage.py settings_reference` from the settings themselves; a test fails when it is out of date.

Every setting is an environment variable. In place of `NAME` you may give `NAME_FILE`, the path of a file that holds
the value: that is how Docker and Kubernetes hand over secrets. A file `.env` in the project's folder is read too; what
is in the environment already wins. A variable that is set but empty counts as not set. What is missing or can't be
understood [keeps everything from starting](#checks), and is told together with what to set.

`make demo`, `make run` and `make test` look at none of these in your environment, so that an exported address can't
turn a demo into a mailing. For them say `DEMO_<NAME>` or `TEST_<NAME>`.
"""

EXAMPLE_INTRODUCTION = """\
# Settings of a server. Copy to .env, fill in what is required, and remove the # before what you change.
# Every NAME may be given as NAME_FILE instead, the path of a file with the value. Written by
# `manage.py settings_reference`; docs/settings.md has the same as a table.
"""


def declared_variables() -> Mapping[str, Variable]:
    """Return every variable that the settings read, in their order."""
    base, *_others = [import_module(name) for name in DECLARING_MODULES]
    declared: Mapping[str, Variable] = base.env.declared
    return declared


def render_markdown(variables: Iterable[Variable]) -> str:
    """Render the reference: a table per section, and one of the checks."""
    parts = [INTRODUCTION]
    for section, members in groupby(variables, key=lambda variable: variable.section):
        parts.append(f"## {section}\n\n| variable | kind | default | meaning |\n|---|---|---|---|\n")
        parts[-1] += "".join(_row(variable) for variable in members)
    return "\n".join([*parts, render_checks()])


def render_example(variables: Iterable[Variable]) -> str:
    """Render .env.example: what is required as a line to fill in, the rest as comments."""
    parts = [EXAMPLE_INTRODUCTION]
    for section, members in groupby(variables, key=lambda variable: variable.section):
        parts.append(f"# {section}\n")
        for variable in members:
            required = "Required. " if variable.required else ""
            parts[-1] += "".join(f"# {line}\n" for line in wrap(required + variable.help, width=EXAMPLE_WIDTH))
            parts[-1] += f"{variable.name}=\n" if variable.required else f"# {variable.name}={_example(variable)}\n"
    return "\n".join(parts)


def render_files() -> dict[Path, str]:
    """Return the text of each generated file by its path."""
    root = Path(settings.BASE_DIR)
    variables = list(declared_variables().values())
    return {
        root / "docs" / "settings.md": render_markdown(variables),
        root / "docs" / "security.md": render_security(variables),
        root / ".env.example": render_example(variables),
    }


def _row(variable: Variable) -> str:
    kind = f"one of {', '.join(f'`{choice}`' for choice in variable.choices)}" if variable.choices else variable.kind
    if variable.secret:
        kind += ", secret"
    default = "**required**" if variable.required else (f"`{shown}`" if (shown := _default(variable)) else "")
    meaning = variable.help + (f" E.g. `{variable.example}`." if variable.example else "")
    return f"| `{variable.name}` | {kind} | {default} | {meaning.replace('|', chr(92) + '|')} |\n"


def _example(variable: Variable) -> str:
    return variable.example or _default(variable)


def _default(variable: Variable) -> str:
    # A default below the project's folder is shown as seen from there.
    return re.sub(rf"^{re.escape(str(settings.BASE_DIR))}/?", "", variable.shown_default)
