"""What providers and readers tell us about messages: read, judged, and written to the ledger exactly once."""

from delivery.services.events.inbox import store_provider_message, store_reader_act
from delivery.services.events.processing import process_inbox

__all__ = ["process_inbox", "store_provider_message", "store_reader_act"]
