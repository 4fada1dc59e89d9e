"""The services of one run: those that the environment doesn't already name are started, and ended last."""

import sys
import time
from dataclasses import dataclass, field

from amazonsender.embedded.binaries import find_postgres, find_valkey
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import Home
from amazonsender.embedded.postgres import Postgres, end_left_over_postgres
from amazonsender.embedded.valkey import BROKER_DATABASE, CACHE_DATABASE, Valkey, end_left_over_valkey

RESTART_SECONDS = 2.0


@dataclass
class Services:
    """PostgreSQL and Valkey as far as ``environment`` names none; use as a context manager.

    On entry ``environment`` gets the addresses of what was started.
    """

    home: Home
    environment: dict[str, str]
    throwaway: bool = False
    started: list[Postgres | Valkey] = field(default_factory=list, init=False)

    def __enter__(self) -> "Services":
        try:
            if not self._given("DATABASE_URL"):
                postgres = Postgres(self.home, find_postgres(self.home), self.throwaway)
                self._start(postgres)
                self.environment["DATABASE_URL"] = postgres.url
            if not (self._given("CELERY_BROKER_URL") and self._given("CACHE_URL")):
                valkey = Valkey(self.home, find_valkey(), self.throwaway)
                self._start(valkey)
                if not self._given("CELERY_BROKER_URL"):
                    self.environment["CELERY_BROKER_URL"] = valkey.url(BROKER_DATABASE)
                if not self._given("CACHE_URL"):
                    self.environment["CACHE_URL"] = valkey.url(CACHE_DATABASE)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what was started, the latest first."""
        while self.started:
            self.started.pop().stop()

    def revive(self) -> None:
        """Start again what has died, on the same port, and say so."""
        for service in self.started:
            if service.alive:
                continue
            sys.stderr.write(f"{service.name} ended unexpectedly (see {service.log_path}); starting it again.\n")
            time.sleep(RESTART_SECONDS)
            try:
                service.start()
            except EmbeddedError as error:
                sys.stderr.write(f"{error}\n")

    def _given(self, name: str) -> bool:
        return bool(self.environment.get(name) or self.environment.get(f"{name}_FILE"))

    def _start(self, service: Postgres | Valkey) -> None:
        self.started.append(service)
        service.start()


def end_left_overs(home: Home) -> None:
    """End the services of a run that was killed, before their data is deleted."""
    end_left_over_postgres(home.path / "postgres")
    end_left_over_valkey(home)
