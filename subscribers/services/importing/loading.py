"""Reading a file into the staging table, with everything that could not come in set aside with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from subscribers.addresses import InvalidAddress, canonical
from subscribers.models import Import, ImportReject
from subscribers.services.importing import staging
from subscribers.services.importing.claiming import renew_lease
from subscribers.services.importing.merging import MAX_STORED_REJECTS, NOT_HERE
from subscribers.services.importing.plan import Plan
from subscribers.services.importing.reading import FAULTS, Record, as_text, read_records
from subscribers.services.importing.rows import RejectedRowError, RowBuilder

_PIECE_ROWS = 500
_PIECES_PER_COPY = 40
_MAX_CELLS = 200


class Loader:
    """Reads one file. Memory stays the same however long it is: a COPY holds 20,000 rows, one piece at a time."""

    def __init__(self, run: Import, plan: Plan, path: Path) -> None:
        self._run = run
        self._path = path
        self._width = plan.width
        self._email = plan.index("email")
        self._builder = RowBuilder(plan)
        self._stored = 0
        self._rejects: list[ImportReject] = []
        self._ended = False
        self.read = 0
        self.reasons: Counter[str] = Counter()

    @property
    def staged(self) -> int:
        return self.read - self.reasons.total()

    def load(self) -> None:
        """Fill the staging table and store the rejects. A repeat starts over.

        Raises UnicodeDecodeError at a byte that the encoding lacks, and LostClaimError.
        """
        run = self._run
        ImportReject.objects.filter(import_run=run).exclude(reason=NOT_HERE).delete()
        staging.create(run.pk)
        with self._path.open("rb") as file, as_text(file, run.encoding) as stream:
            records = read_records(stream, delimiter=run.delimiter, is_row=self._is_row)
            if run.has_header:
                self._skip_header(records)
            while not self._ended:
                staging.copy_rows(run.pk, self._pieces(records))
                ImportReject.objects.bulk_create(self._rejects)
                self._rejects = []
                renew_lease(
                    run,
                    read=self.read,
                    rejected=self.reasons.total(),
                    reject_reasons=dict(self.reasons),
                    dropped_cells=dict(self._builder.dropped),
                    bytes_read=file.tell(),
                )

    def _is_row(self, cells: list[str]) -> bool:
        """Say whether cells look like a person's whole row; it decides where a stray quote ends."""
        if len(cells) != self._width:
            return False
        try:
            canonical(cells[self._email])
        except InvalidAddress:
            return False
        return True

    def _skip_header(self, records: Iterator[Record]) -> None:
        for _line, cells, _kind in records:
            if any(cell.strip() for cell in cells):
                return

    def _pieces(self, records: Iterator[Record]) -> Iterator[str]:
        """Yield lines of COPY's text format, 500 at a time, until one COPY is full or the file ends."""
        build = self._builder.build
        for _number in range(_PIECES_PER_COPY):
            rows: list[str] = []
            append = rows.append
            for line, cells, kind in records:
                if kind in FAULTS:
                    self._reject(line, cells, kind, "")
                    continue
                try:
                    append(build(line, cells, kind))
                except RejectedRowError as error:
                    if any(cell.strip() for cell in cells):
                        self._reject(line, cells, error.reason, error.detail)
                    continue
                if len(rows) == _PIECE_ROWS:
                    break
            else:
                self._ended = True
            self.read += len(rows)
            if rows:
                yield "\n".join(rows) + "\n"
            if self._ended:
                return

    def _reject(self, line: int, cells: list[str], reason: str, detail: str) -> None:
        self.read += 1
        self.reasons[reason] += 1
        if self._stored >= MAX_STORED_REJECTS:
            return
        self._stored += 1
        row = [cell[:500].replace("\x00", "") for cell in cells[:_MAX_CELLS]]
        self._rejects.append(
            ImportReject(
                import_run_id=self._run.pk, line=line, reason=reason, detail=detail.replace("\x00", "")[:300], row=row
            )
        )


def find_bad_byte(path: Path, encoding: str, error: UnicodeDecodeError) -> tuple[int, int]:
    """Return the line and the value of the first byte that the encoding lacks; line 0 where lines can't be told."""
    if encoding.startswith("utf-16"):
        return 0, error.object[error.start]
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as bad:
                return number, line[bad.start]
    return 0, error.object[error.start]
