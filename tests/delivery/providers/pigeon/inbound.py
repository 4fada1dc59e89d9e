from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.crypto import constant_time_compare

from delivery.providers.base import ForgedRequestError, InboundEvent, UnreadableRequestError


class PigeonInbound:
    def is_guarded(self, options: Mapping[str, Any]) -> bool:
        return bool(options.get("whistle"))

    def read(self, request: Any, options: Mapping[str, Any]) -> list[InboundEvent]:
        if not constant_time_compare(request.headers.get("X-Whistle", ""), options["whistle"]):
            raise ForgedRequestError("another whistle")
        try:
            return [
                InboundEvent(
                    id=str(one["ring"]),
                    kind=one["what"],
                    at=datetime.fromtimestamp(one["at"], UTC),
                    tag=one["letter"],
                    provider_id="",
                    address=one["to"],
                    is_permanent=True,
                )
                for one in json.loads(request.body)
            ]
        except (ValueError, LookupError, TypeError) as error:
            raise UnreadableRequestError(str(error)) from error
