"""The files in which processes keep their figures: summed up when asked, and folded into one when their process is gone.

A file stays when its process ends, or sums would fall. A worker that restarts now and then would leave thousands.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from amazonsender.core.processes import running

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows, where nothing of this runs
    fcntl = None  # type: ignore[assignment]

PAST: Final = 0  # no process has this number: the sums of those that ended
KEPT_FILES: Final = 20  # of ended processes, before they are folded


class Sums:
    """The sums over all processes of this machine, past ones included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> list[Metric]:
        """Read all files, with nobody folding them meanwhile: some would be missing, or counted twice."""
        from prometheus_client.multiprocess import MultiProcessCollector

        with _locked(self._folder, fcntl.LOCK_SH):
            paths = [str(path) for path in self._folder.glob("*.db") if _is_whole(path)]
            return list(MultiProcessCollector.merge(paths, accumulate=True))  # type: ignore[no-untyped-call]


def add_sums(registry: CollectorRegistry, folder: Path) -> None:
    """Have a registry answer with the sums over all processes of this machine, past ones included."""
    fold(folder)
    registry.register(Sums(folder))


def fold(folder: Path, *, keep: int = KEPT_FILES) -> int:
    """Add the files of ended processes to those of the past; return how many there were."""
    ended = _ended(folder)
    if len(ended) <= keep:
        return 0
    with _alone(folder) as is_alone:
        if not is_alone:
            return 0
        kinds = defaultdict(list)
        for path in _ended(folder):
            kinds[path.name.partition("_")[0]].append(path)
        for kind, paths in kinds.items():
            _add_to_past(folder, kind, paths)
        return sum(map(len, kinds.values()))


def _add_to_past(folder: Path, kind: str, paths: list[Path]) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    past = folder / f"{kind}_{PAST}.db"
    sums: dict[str, float] = defaultdict(float)
    for path in filter(_is_whole, [*paths, *([past] if past.exists() else [])]):
        for key, value, _timestamp, _position in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            sums[key] += value
    fresh = folder / "fresh"
    fresh.unlink(missing_ok=True)
    written = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    # Who is killed between these lines counts some twice, once. The other way round sums would fall.
    fresh.replace(past)
    for path in paths:
        path.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """A process that was killed while it opened its file leaves an empty one, which the library can't read."""
    return path.stat().st_size > 0


def _ended(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.glob("*_*.db")):
        number = path.stem.rpartition("_")[2]
        if number.isdecimal() and int(number) != PAST and not running(int(number)):
            found.append(path)
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else folds or reads at the moment."""
    try:
        with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield True
    except BlockingIOError:
        yield False


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
