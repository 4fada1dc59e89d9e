"""Settings read from the environment: typed, described, and refused together with what to set.

Every variable is declared where the settings read it, with its type, default and meaning; ``.env.example`` and
``docs/settings.md`` are written from these declarations, so that they can't fall behind. Each ``NAME`` may be given
as ``NAME_FILE`` instead: the path of a file that holds the value, which is how Docker and Kubernetes hand over secrets.

A mistake doesn't end the reading: it becomes a finding, the setting gets an empty value of its type, and at the end of
the settings ``amazonsender.settings.gate`` ends the process with all findings. Nothing runs on such a value.
"""

import builtins
import os
import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured

from amazonsender.core.env_values import (
    Mistake,
    NotUnderstoodError,
    parse_bool,
    parse_choice,
    parse_float,
    parse_int,
    parse_list,
    parse_path,
    parse_url,
)

T = TypeVar("T")

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SHOWN_CHARACTERS: Final = 60


class Unset(Enum):
    """Stands for "no default": the variable must be given."""

    REQUIRED = "required"


REQUIRED: Final = Unset.REQUIRED


@dataclass(frozen=True)
class Variable:
    """One environment variable that the settings read."""

    name: str
    kind: str
    default: object
    help: str
    secret: bool
    choices: tuple[str, ...]
    section: str
    example: str

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def shown_default(self) -> str:
        """The default as one would write it; empty where there is none."""
        if self.required or self.default is None:
            return ""
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        if isinstance(self.default, list | tuple):
            return ",".join(str(item) for item in self.default)
        return str(self.default)


class Env:
    """Reads variables of ``environ``; keeps declarations in ``declared`` and mistakes in ``findings``, in their order.

    ``broken`` names the variables whose setting is an empty value because of a mistake. A variable that is set but
    empty counts as not set, because Compose files and unit files can't leave one out.
    """

    def __init__(self, environ: MutableMapping[builtins.str, builtins.str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._section = "General"
        self.declared: dict[builtins.str, Variable] = {}
        self.findings: list[Error] = []
        self.broken: set[builtins.str] = set()

    def section(self, title: builtins.str) -> None:
        """Head the variables declared from here on with ``title`` in the reference."""
        self._section = title

    def given(self, name: builtins.str) -> builtins.bool:
        """Tell whether somebody set the variable, to its default or anything else."""
        return bool(self._environ.get(name) or self._environ.get(f"{name}_FILE"))

    def load_file(self, path: Path) -> None:
        """Take ``NAME=value`` lines of ``path``; what is already in the environment wins."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self._find(
                Mistake.UNREADABLE_SETTINGS,
                f"{path} can't be read: {_reason(error)}.",
                "Let the user that this runs as read it, or take it away.",
            )
            return
        for number, line in enumerate(text.splitlines(), start=1):
            entry = line.strip().removeprefix("export ").strip()
            if not entry or entry.startswith("#"):
                continue
            name, separator, value = (part.strip() for part in entry.partition("="))
            if not separator or not NAME.fullmatch(name):
                # Without its text: it may be the rest of a secret.
                self._find(
                    Mistake.MALFORMED_LINE,
                    f"{path}, line {number}: not NAME=value.",
                    "Write NAME=value on one line, or begin the line with # if it is a remark.",
                )
            elif not self._environ.get(name):
                self._environ[name] = _unquoted(value)

    def str(
        self,
        name: builtins.str,
        *,
        default: builtins.str | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002 - the word a reader looks for
        secret: builtins.bool = False,
        choices: Sequence[builtins.str] = (),
        example: builtins.str = "",
    ) -> builtins.str:
        """Read text; with ``choices``, one of these words."""
        variable = self._declare(name, "text", default, help, secret=secret, choices=choices, example=example)
        return self._value(variable, lambda value: parse_choice(value, choices), default, "")

    def int(
        self,
        name: builtins.str,
        *,
        default: builtins.int | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
        minimum: builtins.int | None = None,
    ) -> builtins.int:
        """Read a whole number, at least ``minimum``."""
        variable = self._declare(name, "number", default, help)
        return self._value(variable, lambda value: parse_int(value, minimum), default, 0)

    def float(
        self,
        name: builtins.str,
        *,
        default: builtins.float | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
        bounds: tuple[builtins.float, builtins.float] | None = None,
    ) -> builtins.float:
        """Read a number with decimals, from the first of ``bounds`` to the second."""
        variable = self._declare(name, "decimal", default, help)
        return self._value(variable, lambda value: parse_float(value, bounds), default, 0.0)

    def bool(
        self,
        name: builtins.str,
        *,
        default: builtins.bool | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
    ) -> builtins.bool:
        """Read on or off."""
        return self._value(self._declare(name, "on/off", default, help), parse_bool, default, False)

    def list(
        self,
        name: builtins.str,
        *,
        default: Sequence[builtins.str] | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
        secret: builtins.bool = False,
        example: builtins.str = "",
    ) -> builtins.list[builtins.str]:
        """Read words separated by commas."""
        variable = self._declare(name, "list", default, help, secret=secret, example=example)
        return builtins.list(self._value(variable, parse_list, default, ()))

    def url(
        self,
        name: builtins.str,
        *,
        default: builtins.str | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
        schemes: Sequence[builtins.str] = ("http", "https"),
        form: builtins.str = "",
        several: builtins.bool = False,
        secret: builtins.bool = False,
        example: builtins.str = "",
    ) -> builtins.str:
        """Read an address as ``parse_url`` does: one of ``schemes``, and of ``form``; no slash at its end."""
        variable = self._declare(name, "address", default, help, secret=secret, example=example)
        return self._value(variable, lambda value: parse_url(value, schemes, form=form, several=several), default, "")

    def path(
        self,
        name: builtins.str,
        *,
        default: Path | Unset | None = REQUIRED,
        help: builtins.str,  # noqa: A002
        example: builtins.str = "",
    ) -> Path | None:
        """Read the path of a file or folder, ``~`` expanded; None where there is none."""
        variable = self._declare(name, "path", default, help, example=example)
        return self._value(variable, parse_path, default, None)

    def _declare(
        self,
        name: builtins.str,
        kind: builtins.str,
        default: object,
        meaning: builtins.str,
        *,
        secret: builtins.bool = False,
        choices: Sequence[builtins.str] = (),
        example: builtins.str = "",
    ) -> Variable:
        variable = Variable(name, kind, default, meaning, secret, tuple(choices), self._section, example)
        earlier = self.declared.setdefault(name, variable)
        if (earlier.kind, earlier.default) != (variable.kind, variable.default):
            raise ImproperlyConfigured(f"{name} is declared twice with different meanings.")
        return variable

    def _value(self, variable: Variable, parse: Callable[[builtins.str], T], default: T | Unset, empty: T) -> T:
        """Return the value, the default, or after a mistake ``empty``, which is never the default of something live."""
        raw = self._raw(variable)
        if raw is None:
            return empty
        if raw:
            try:
                return parse(raw)
            except NotUnderstoodError as error:
                self._find(error.mistake, *_complaint(variable, error, self._shown(variable, raw)), variable)
                return empty
        if not isinstance(default, Unset):
            return default
        hint = f"Set {variable.name}, or {variable.name}_FILE to the path of a file that holds it. {variable.help}"
        self._find(Mistake.MISSING, f"{variable.name} is not set.", hint, variable)
        return empty

    def _raw(self, variable: Variable) -> builtins.str | None:
        """Return what is written in the variable or its file, "" where there is nothing; None if that can't be told."""
        name, file_name = variable.name, f"{variable.name}_FILE"
        value, path = self._environ.get(name, ""), self._environ.get(file_name, "")
        if value and path:
            self._find(Mistake.GIVEN_TWICE, f"Both {name} and {file_name} are set.", "Unset one of them.", variable)
            return None
        if not path:
            return value
        try:
            return Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
        except (OSError, ValueError) as error:
            # Without the path of a secret: people do put the secret itself there.
            which = "the file that it names" if variable.secret else path
            self._find(
                Mistake.UNREADABLE_FILE,
                f"{file_name}: {which} can't be read: {_reason(error)}.",
                f"Set {file_name} to the path of a text file that the user this runs as may read, or set {name} itself.",
                variable,
            )
            return None

    def _shown(self, variable: Variable, raw: builtins.str) -> builtins.str:
        """What a message may quote of a value: nothing of a secret, of a file, or of an address with a password."""
        if variable.secret or self._environ.get(f"{variable.name}_FILE") or "@" in raw:
            return ""
        return repr(raw if len(raw) <= SHOWN_CHARACTERS else raw[:SHOWN_CHARACTERS] + "…")

    def _find(
        self, mistake: Mistake, message: builtins.str, hint: builtins.str, variable: Variable | None = None
    ) -> None:
        if variable is not None:
            if variable.name in self.broken:
                return
            self.broken.add(variable.name)
        self.findings.append(Error(message, hint=hint, id=mistake.value))


def _complaint(variable: Variable, error: NotUnderstoodError, shown: str) -> tuple[str, str]:
    message = f"{variable.name} is {shown}: {error.complaint}." if shown else f"{variable.name} is {error.complaint}."
    hint = f"Set {variable.name} to {error.expected}"
    if variable.example:
        hint += f", such as {variable.example}"
    if variable.shown_default and not variable.secret:
        hint += f", or unset it for {variable.shown_default}"
    if error.mistake is Mistake.NOT_AN_ADDRESS and variable.secret:
        hint += "; write what is special in a password as %40 for @, %2F for /, %23 for #, %3A for :"
    return message, f"{hint}."


def _reason(error: Exception) -> str:
    """Say why a file can't be read, without quoting its content or path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not text in UTF-8"


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
