"""Settings read from the environment: typed, described, and refused with a sentence that says what to set.

Every variable is declared where the settings read it, with its type, default and meaning; ``.env.example`` and
``docs/settings.md`` are written from these declarations, so that they can't fall behind. Each ``NAME`` may be given
as ``NAME_FILE`` instead: the path of a file that holds the value, which is how Docker and Kubernetes hand over secrets.
"""

import builtins
import os
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

TRUE_WORDS: Final = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS: Final = frozenset({"0", "false", "no", "off"})


class Unset(Enum):
    """Stands for "no default": the variable must be given."""

    REQUIRED = "required"


REQUIRED: Final = Unset.REQUIRED


class SettingError(ImproperlyConfigured):
    """A variable is missing or its value can't be understood."""


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


class Env:
    """Reads variables of ``environ`` and remembers each declaration in ``declared``, in the order of reading.

    A variable that is set but empty counts as not set, because Compose files and unit files can't leave one out.
    """

    def __init__(self, environ: MutableMapping[builtins.str, builtins.str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._section = "General"
        self.declared: dict[builtins.str, Variable] = {}

    def section(self, title: builtins.str) -> None:
        """Head the variables declared from here on with ``title`` in the reference."""
        self._section = title

    def load_file(self, path: Path) -> None:
        """Take ``NAME=value`` lines of ``path``; what is already in the environment wins."""
        for number, line in enumerate(_read(path, "The file of settings").splitlines(), start=1):
            entry = line.strip().removeprefix("export ").strip()
            if not entry or entry.startswith("#"):
                continue
            name, separator, value = entry.partition("=")
            if not separator:
                raise SettingError(f"{path}, line {number}: expected NAME=value.")
            if not self._environ.get(name.strip()):
                self._environ[name.strip()] = _unquoted(value.strip())

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

        def parse(value: builtins.str) -> builtins.str:
            if choices and value not in choices:
                raise ValueError(f"one of {', '.join(choices)}")
            return value

        variable = self._declare(name, "text", default, help, secret=secret, choices=choices, example=example)
        return self._value(variable, parse, default)

    def int(
        self,
        name: builtins.str,
        *,
        default: builtins.int | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
        minimum: builtins.int | None = None,
    ) -> builtins.int:
        """Read a whole number, at least ``minimum``."""

        def parse(value: builtins.str) -> builtins.int:
            expected = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
            try:
                number = builtins.int(value)
            except ValueError:
                raise ValueError(expected) from None
            if minimum is not None and number < minimum:
                raise ValueError(expected)
            return number

        return self._value(self._declare(name, "number", default, help), parse, default)

    def float(
        self,
        name: builtins.str,
        *,
        default: builtins.float | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
    ) -> builtins.float:
        """Read a number with decimals."""

        def parse(value: builtins.str) -> builtins.float:
            try:
                return builtins.float(value)
            except ValueError:
                raise ValueError("a number") from None

        return self._value(self._declare(name, "decimal", default, help), parse, default)

    def bool(
        self,
        name: builtins.str,
        *,
        default: builtins.bool | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
    ) -> builtins.bool:
        """Read on or off."""

        def parse(value: builtins.str) -> builtins.bool:
            if value.lower() in TRUE_WORDS:
                return True
            if value.lower() in FALSE_WORDS:
                return False
            raise ValueError("on or off")

        return self._value(self._declare(name, "on/off", default, help), parse, default)

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

        def parse(value: builtins.str) -> Sequence[builtins.str]:
            return [word.strip() for word in value.split(",") if word.strip()]

        variable = self._declare(name, "list", default, help, secret=secret, example=example)
        return builtins.list(self._value(variable, parse, default))

    def url(
        self,
        name: builtins.str,
        *,
        default: builtins.str | Unset = REQUIRED,
        help: builtins.str,  # noqa: A002
        schemes: Sequence[builtins.str] = ("http", "https"),
        secret: builtins.bool = False,
        example: builtins.str = "",
    ) -> builtins.str:
        """Read an address whose scheme is one of ``schemes``; no slash at its end."""

        def parse(value: builtins.str) -> builtins.str:
            parts = urlsplit(value)
            if parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/")):
                raise ValueError(" or ".join(f"{scheme}://…" for scheme in schemes))
            return value.rstrip("/")

        variable = self._declare(name, "address", default, help, secret=secret, example=example)
        return self._value(variable, parse, default)

    def path(
        self,
        name: builtins.str,
        *,
        default: Path | Unset | None = REQUIRED,
        help: builtins.str,  # noqa: A002
        example: builtins.str = "",
    ) -> Path | None:
        """Read the path of a file or folder, ``~`` expanded; None where there is none."""

        def parse(value: builtins.str) -> Path | None:
            return Path(value).expanduser()

        return self._value(self._declare(name, "path", default, help, example=example), parse, default)

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
            raise SettingError(f"{name} is declared twice with different meanings.")
        return variable

    def _value(self, variable: Variable, parse: Callable[[builtins.str], T], default: T | Unset) -> T:
        raw = self._raw(variable.name)
        if not raw:
            if isinstance(default, Unset):
                raise SettingError(f"{variable.name} is not set. Set it, or {variable.name}_FILE: {variable.help}")
            return default
        try:
            return parse(raw)
        except ValueError as error:
            shown = "its value (a secret, not shown)" if variable.secret else repr(raw)
            raise SettingError(f"{variable.name}: {shown} isn't understood; set it to {error}.") from None

    def _raw(self, name: builtins.str) -> builtins.str:
        value = self._environ.get(name, "")
        path = self._environ.get(f"{name}_FILE", "")
        if value and path:
            raise SettingError(f"Both {name} and {name}_FILE are set. Keep one.")
        return _read(Path(path), f"{name}_FILE").rstrip("\r\n") if path else value


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{what}: {path} can't be read ({error}).") from None


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
