"""The desk where calls are handled: one after the other, so that nothing about an account can race."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from localses import topics
from localses.config import DEFAULT_REGION, Config, Settings
from localses.disturbing import Faults, Turn
from localses.envelopes import Signer
from localses.limits import RateBucket
from localses.model import Json
from localses.store import FILE_NAME, Store, transaction


@dataclass(slots=True)
class Desk:
    """What an operation works with. Only the desk's own thread may call operations."""

    config: Config
    settings: Settings
    store: Store
    bucket: RateBucket
    signer: Signer
    faults: Faults
    clock: Callable[[], float] = time.time

    def announce(self, topic_arn: str, text: str) -> None:
        """Publish plain text of SES itself to a topic."""
        with transaction(self.store.db):
            message_id = str(uuid.uuid4())
            topics.publish(self.store.db, self.signer, topic_arn, text, message_id=message_id, at=self.clock())


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client, parsed and verified."""

    desk: Desk
    params: Json
    turn: Turn
    body_size: int = 0
    region: str = DEFAULT_REGION


def open_desk(config: Config, settings: Settings, operations: frozenset[str]) -> Desk:
    """Open the store and verify the identities that the configuration names; `operations` can be disturbed."""
    store = Store(config.data / FILE_NAME)
    faults = Faults(settings, config.seed, operations)
    signer = Signer(config.data, config.public_url)
    desk = Desk(config, settings, store, RateBucket(settings), signer, faults)
    for name in config.identities:
        if store.resource("identity", name.lower()) is None:
            store.put_resource("identity", name.lower(), {"EmailIdentity": name}, desk.clock())
    return desk
