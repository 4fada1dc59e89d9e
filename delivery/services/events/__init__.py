"""What providers and readers tell us about messages: read, judged, and written to the ledger exactly once."""

from delivery.services.events.inbox import (
    ProviderMessage,
    store_provider_message,
    store_provider_messages,
    store_reader_act,
)
from delivery.services.events.processing import process_inbox

__all__ = [
    "ProviderMessage",
    "process_inbox",
    "store_provider_message",
    "store_provider_messages",
    "store_reader_act",
]
