from __future__ import annotations

from typing import Any

import orjson

from delivery.compiling.handlebars import substitute
from delivery.providers.base import Provider
from delivery.providers.ses import SesProvider
from tests.delivery.providers.contract.http_bench import HttpBench
from tests.delivery.providers.contract.http_stub import Answer, Request
from tests.delivery.providers.contract.received import Received

REFUSALS = {
    "throttle": (429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    "quota": (400, "LimitExceededException", "Daily message quota exceeded."),
    "credentials": (403, "InvalidClientTokenId", "The security token included in the request is invalid."),
    "server_error": (503, "ServiceUnavailable", "Try later."),
}


class SesBench(HttpBench):
    """Amazon SES's own calls."""

    can = frozenset({"throttle", "quota", "credentials", "refuse_one", "server_error"})

    def make(self, url: str, **config: Any) -> Provider:
        config = {"connect_timeout_seconds": 2.0} | config
        return SesProvider("eu-central-1", endpoint_url=url, access_key="AKIDEXAMPLE", secret_key="secret", **config)

    def read(self, request: Request) -> list[Received]:
        document = orjson.loads(request.body)
        if "BulkEmailEntries" not in document:
            template = document["Content"]["Template"]
            one = _received(
                template["TemplateContent"],
                template["TemplateData"],
                document["Destination"]["ToAddresses"],
                template["Headers"],
                document["EmailTags"],
            )
            return [one]
        default = document["DefaultContent"]["Template"]
        return [
            _received(
                default["TemplateContent"],
                item["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"],
                item["Destination"]["ToAddresses"],
                _replaced(default["Headers"], item["ReplacementHeaders"]),
                [*document["DefaultEmailTags"], *item["ReplacementTags"]],
            )
            for item in document["BulkEmailEntries"]
        ]

    def answer(self, mode: str, messages: list[Received]) -> Answer:
        if mode in REFUSALS:
            status, kind, text = REFUSALS[mode]
            return Answer(status, orjson.dumps({"message": text}), (("x-amzn-ErrorType", kind),))
        if len(messages) == 1 and mode == "accept":
            return Answer(200, orjson.dumps({"MessageId": f"id-{messages[0].to}"}))
        rows: list[dict[str, str]] = [{"Status": "SUCCESS", "MessageId": f"id-{one.to}"} for one in messages]
        if mode == "refuse_one":
            rows[1] = {"Status": "MESSAGE_REJECTED", "Error": "Address blacklisted"}
        return Answer(200, orjson.dumps({"BulkEmailEntryResults": rows}))


def _replaced(shared: list[dict[str, str]], own: list[dict[str, str]]) -> list[dict[str, str]]:
    names = {header["Name"].lower() for header in own}
    return [header for header in shared if header["Name"].lower() not in names] + own


def _received(
    content: dict[str, str], data: str, to: list[str], headers: list[dict[str, str]], tags: list[dict[str, str]]
) -> Received:
    assert len(to) == 1
    values = orjson.loads(data)
    return Received(
        to[0],
        substitute(content["Subject"], values),
        substitute(content["Html"], values),
        substitute(content["Text"], values),
        {header["Name"]: header["Value"] for header in headers},
        {tag["Name"]: tag["Value"] for tag in tags},
    )
