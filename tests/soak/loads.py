"""What an installation does all day, at once: campaigns with their events, imports, readers. After Django is set up."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections

from amazonsender.core.enqueue import enqueue
from delivery.models import CompiledEmail, Inbox, Mailout, MailoutState, MessageBatch, SendingAccount
from delivery.tokens import track_token
from organizations.models import Organization
from subscribers.models import Import, ImportMode, ImportState, List
from subscribers.services.importing import configure_import, create_import, start_import
from subscribers.tasks import run_import
from tests.benchmarks import mailouts
from tests.benchmarks.bench_tracking import AGENT, HOST
from tests.benchmarks.events_on import feed_events

IMPORT_EVERY_SECONDS = 15.0
FINISH_SECONDS = 300.0
LOOK_SECONDS = 0.25


class Loads:
    """Threads that keep an installation busy until they are told to end. `done` counts what they did."""

    def __init__(self, database_url: str, organization: Organization, account: SendingAccount) -> None:
        self._database_url = database_url
        self._organization = organization
        self._account = account
        self._ended = threading.Event()
        self._latest: tuple[int, int] | None = None  # a finished mailout and how many it was sent to
        self._failures: list[Exception] = []
        self.done: Counter[str] = Counter()

    @contextmanager
    def running(self, *works: Callable[[], None]) -> Iterator[None]:
        """Run each in a thread of its own meanwhile; a failure of any of them is raised at the end."""
        threads = [threading.Thread(target=self._guard, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
        if self._failures:
            raise self._failures[0]

    def check(self) -> None:
        """Raise what went wrong by now."""
        if self._failures:
            raise self._failures[0]

    def send_campaigns(self, people: List, compiled: CompiledEmail) -> None:
        """One mailout after the other, each with the provider's events about it."""
        while not self._ended.is_set():
            mailout = mailouts.launch(
                organization=self._organization, account=self._account, people=people, compiled=compiled,
                label=f"campaign {self.done['campaigns']}",
            )  # fmt: skip
            with feed_events(self._database_url, mailout.pk) as fed:
                self._wait_for_mailout(mailout)
            self._latest = (mailout.pk, mailout.eligible)
            self.done["campaigns"] += 1
            self.done["emails"] += sum(
                MessageBatch.objects.filter(mailout_id=mailout.pk).values_list("sent", flat=True)
            )
            self.done["events"] += fed.events

    def import_people(self, readers: List, rows: int, folder: Path) -> None:
        """The same people again and again, with something new about each of them every time."""
        while not self._ended.is_set():
            path = folder / "people.csv"
            _write_people(path, rows, turn=self.done["imports"])
            with path.open("rb") as file:
                run = create_import(
                    organization=self._organization, file_name=path.name, chunks=iter(lambda: file.read(1 << 20), b"")
                )
            configure_import(
                run=run, mapping=run.mapping, mode=ImportMode.ADD_AND_UPDATE, mailing_list=readers,
                consent_text="Signed the form at the fair",
            )  # fmt: skip
            start_import(run=run)
            enqueue(run_import, run.pk)
            self._wait_for_import(run)
            self.done["imports"] += 1
            self.done["imported_rows"] += run.read
            self._ended.wait(IMPORT_EVERY_SECONDS)

    def read(self, port: int, rate: int) -> None:
        """Ask for pixels and links of the latest mailout in turn, `rate` a second."""
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        n = 0
        while not self._ended.wait(1 / rate):
            if self._latest is None:
                continue
            mailout_id, total = self._latest
            n = n % total + 1
            token = track_token(mailout_id, n)
            path = f"/o/{token}.gif" if n % 2 else f"/c/{token}/1"
            try:
                client.request("GET", path, headers={"Host": HOST, "User-Agent": AGENT})
                response = client.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                client.close()
                self.done["unanswered_requests"] += 1
            else:
                self.done["requests"] += 1
                self.done["wrong_answers"] += response.status != (200 if n % 2 else 302)
        client.close()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised in the main thread
            self._failures.append(error)
        finally:
            connections.close_all()

    def _wait_for_mailout(self, mailout: Mailout) -> None:
        deadline = time.monotonic() + FINISH_SECONDS
        while mailout.state != MailoutState.FINISHED:
            if time.monotonic() > deadline:
                raise RuntimeError(f"a campaign is {mailout.state} after {FINISH_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)
            mailout.refresh_from_db(fields=["state"])

    def _wait_for_import(self, run: Import) -> None:
        deadline = time.monotonic() + FINISH_SECONDS
        while run.state != ImportState.DONE:
            if run.state in {ImportState.FAILED, ImportState.CANCELLED} or time.monotonic() > deadline:
                raise RuntimeError(f"an import is {run.state}: {run.error}")
            time.sleep(LOOK_SECONDS)
            run.refresh_from_db()


def _write_people(path: Path, rows: int, *, turn: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("email,first_name,last_name,points\n")
        file.writelines(f"imported{i}@example.com,Anna{turn},Orlova{i % 500},{turn + i}\n" for i in range(rows))


def wait_until_told(seconds: float) -> bool:
    """Wait for the inbox to become empty."""
    deadline = time.monotonic() + seconds
    while Inbox.objects.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
