"""Stand-ins of the sending services, as far as anymail and a mailout need them. What they take is read as they read it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import parse_qs

from delivery.providers.anymail import AnymailProvider
from delivery.providers.base import Provider
from tests.delivery.providers.contract.http_bench import HttpBench
from tests.delivery.providers.contract.http_stub import Answer, Request
from tests.delivery.providers.contract.received import Received

COMMON = {
    "throttle": (429, {"message": "Too many requests"}),
    "quota": (400, {"message": "Your daily sending quota was exceeded"}),
    "credentials": (401, {"message": "Wrong key"}),
    "server_error": (503, {"message": "Try later"}),
}


class AnymailBench(HttpBench):
    """A service through anymail."""

    variant = ""
    options: dict[str, Any] = {"api_key": "key"}
    can = frozenset({"throttle", "quota", "credentials", "server_error"})

    def make(self, url: str, **config: Any) -> Provider:
        return AnymailProvider(variant=self.variant, api_url=url, **self.options, **config)

    def answer(self, mode: str, messages: list[Received]) -> Answer:
        if mode in COMMON:
            status, document = COMMON[mode]
            return Answer(status, json.dumps(document).encode())
        return Answer(200, json.dumps(self.told(mode, messages)).encode(), self.headers(messages))

    def headers(self, messages: list[Received]) -> tuple[tuple[str, str], ...]:
        return ()

    def told(self, mode: str, messages: list[Received]) -> Any:
        """The service's document."""
        raise NotImplementedError


class Mailgun(AnymailBench):
    variant = "mailgun"

    def read(self, request: Request) -> list[Received]:
        assert request.path in ("/acme.test/messages", "/example.com/messages")
        form = parse_qs(request.body.decode(), keep_blank_values=True)
        variables = json.loads(form["recipient-variables"][0])
        found = []
        for to in form["to"]:

            def filled(name: str, own: dict[str, str] = variables[to]) -> str:
                return re.sub(r"%recipient\.([\w:-]+)%", lambda place: own[place.group(1)], form[name][0])

            headers = {name[2:]: filled(name) for name in form if name.startswith("h:")}
            tags = {name[2:]: filled(name) for name in form if name.startswith("v:")}
            found.append(Received(to, filled("subject"), filled("html"), filled("text"), headers, tags))
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"id": "<20261125.1@acme.test>", "message": "Queued. Thank you."}


class SendGrid(AnymailBench):
    variant = "sendgrid"

    def read(self, request: Request) -> list[Received]:
        document = json.loads(request.body)
        bodies = {part["type"]: part["value"] for part in document["content"]}
        found = []
        for person in document["personalizations"]:
            assert len(person["to"]) == 1

            def filled(text: str, own: dict[str, str] = person["substitutions"]) -> str:
                return re.sub("|".join(map(re.escape, own)), lambda place: own[place.group()], text)

            tags = {name: value for name, value in person["custom_args"].items() if name != "anymail_id"}
            found.append(
                Received(
                    person["to"][0]["email"],
                    filled(document["subject"]),
                    filled(bodies["text/html"]),
                    filled(bodies["text/plain"]),
                    document.get("headers", {}) | person["headers"],
                    tags,
                )
            )
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {}


class SparkPost(AnymailBench):
    variant = "sparkpost"

    def read(self, request: Request) -> list[Received]:
        document = json.loads(request.body)
        content = document["content"]
        found = []
        for person in document["recipients"]:
            values = person["substitution_data"]

            def filled(text: str, own: dict[str, str] = values, *, html: bool = False) -> str:
                raw = re.sub(r"\{\{\{(\w+)\}\}\}", lambda place: own[place.group(1)], text)
                return re.sub(
                    r"\{\{(\w+)\}\}", lambda place: escape(own[place.group(1)]) if html else own[place.group(1)], raw
                )

            headers = {name: filled(value) for name, value in content["headers"].items()}
            found.append(
                Received(
                    person["address"]["email"],
                    filled(content["subject"]),
                    filled(content["html"], html=True),
                    filled(content["text"]),
                    headers,
                    person["metadata"],
                )
            )
            assert person["address"]["header_to"] == person["address"]["email"]
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"results": {"total_accepted_recipients": len(messages), "total_rejected_recipients": 0, "id": "117"}}


class Postmark(AnymailBench):
    variant = "postmark"
    options = {"server_token": "key"}
    can = AnymailBench.can | {"refuse_one"}

    def read(self, request: Request) -> list[Received]:
        assert request.path == "/email/batch"
        return [
            Received(
                one["To"],
                one["Subject"],
                one["HtmlBody"],
                one["TextBody"],
                {header["Name"]: header["Value"] for header in one["Headers"]},
                one["Metadata"],
            )
            for one in json.loads(request.body)
        ]

    def told(self, mode: str, messages: list[Received]) -> Any:
        told: list[dict[str, Any]] = [
            {"ErrorCode": 0, "Message": "OK", "MessageID": f"id-{one.to}", "To": one.to} for one in messages
        ]
        if mode == "refuse_one":
            told[1] = {"ErrorCode": 406, "Message": "You tried to send to an inactive recipient."}
        return told


class Brevo(AnymailBench):
    variant = "brevo"

    def read(self, request: Request) -> list[Received]:
        document = json.loads(request.body)
        assert "to" not in document
        assert document["subject"]
        assert document["htmlContent"]
        found = []
        for one in document["messageVersions"]:
            headers = dict(one["headers"])
            tags = json.loads(headers.pop("X-Mailin-custom"))
            found.append(
                Received(one["to"][0]["email"], one["subject"], one["htmlContent"], one["textContent"], headers, tags)
            )
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"messageIds": [f"<{number}@brevo>" for number, _ in enumerate(messages)]}


class MailerSend(AnymailBench):
    variant = "mailersend"
    options = {"api_token": "key"}

    def read(self, request: Request) -> list[Received]:
        assert request.path == "/bulk-email"
        found = []
        for one in json.loads(request.body):
            token, _, call = one["tags"][0].partition(".")
            headers = {header["name"]: header["value"] for header in one["headers"]}
            to = one["to"][0]["email"]
            found.append(Received(to, one["subject"], one["html"], one["text"], headers, {"m": token, "c": call}))
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"message": "The bulk email is being processed.", "bulk_email_id": "614470d1588b866d0454f3e2"}


class Mailjet(AnymailBench):
    variant = "mailjet"
    options = {"api_key": "key", "secret_key": "secret"}
    can = AnymailBench.can | {"refuse_one"}

    def read(self, request: Request) -> list[Received]:
        found = []
        document = json.loads(request.body)
        for own in document["Messages"]:
            one = document["Globals"] | own
            tags = json.loads(one["EventPayload"])
            assert len(own["To"]) == 1
            found.append(
                Received(own["To"][0]["Email"], one["Subject"], one["HTMLPart"], one["TextPart"], one["Headers"], tags)
            )
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        told: list[dict[str, Any]] = [
            {"Status": "success", "To": [{"Email": one.to, "MessageID": 1000 + number}]}
            for number, one in enumerate(messages)
        ]
        if mode == "refuse_one":
            told[1] = {"Status": "error", "Errors": [{"ErrorMessage": "Blocked"}]}
        return {"Messages": told}


class Resend(AnymailBench):
    variant = "resend"

    def read(self, request: Request) -> list[Received]:
        assert request.path == "/emails/batch"
        found = []
        for one in json.loads(request.body):
            headers = dict(one["headers"])
            tags = json.loads(headers.pop("X-Metadata"))
            found.append(Received(one["to"][0], one["subject"], one["html"], one["text"], headers, tags))
        return found

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"data": [{"id": f"id-{one.to}"} for one in messages]}


class Mailtrap(AnymailBench):
    variant = "mailtrap"
    options = {"api_token": "key"}
    can = AnymailBench.can | {"refuse_one"}

    def read(self, request: Request) -> list[Received]:
        document = json.loads(request.body)
        return [
            Received(
                one["to"][0]["email"],
                one["subject"],
                one["html"],
                one["text"],
                document["base"].get("headers", {}) | one["headers"],
                one["custom_variables"],
            )
            for one in document["requests"]
        ]

    def told(self, mode: str, messages: list[Received]) -> Any:
        told: list[dict[str, Any]] = [{"success": True, "message_ids": [f"id-{one.to}"]} for one in messages]
        if mode == "refuse_one":
            told[1] = {"success": False, "errors": ["'to' is suppressed"]}
        return {"success": True, "responses": told}


class Mandrill(AnymailBench):
    variant = "mandrill"

    def read(self, request: Request) -> list[Received]:
        one = json.loads(request.body)["message"]
        assert len(one["to"]) == 1
        headers = {name: value for name, value in one["headers"].items() if name != "Reply-To"}
        return [Received(one["to"][0]["email"], one["subject"], one["html"], one["text"], headers, one["metadata"])]

    def told(self, mode: str, messages: list[Received]) -> Any:
        return [{"email": one.to, "status": "queued", "_id": f"id-{one.to}"} for one in messages]


class Postal(AnymailBench):
    variant = "postal"

    def read(self, request: Request) -> list[Received]:
        one = json.loads(request.body)
        token, _, call = one["tag"].partition(".")
        tags = {"m": token, "c": call}
        return [Received(one["to"][0], one["subject"], one["html_body"], one["plain_body"], one["headers"], tags)]

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"status": "success", "data": {"messages": {one.to: {"id": 7} for one in messages}}}


class Scaleway(AnymailBench):
    variant = "scaleway"
    options = {"secret_key": "key", "project_id": "p"}

    def read(self, request: Request) -> list[Received]:
        one = json.loads(request.body)
        headers = {header["key"]: header["value"] for header in one["additional_headers"]}
        tags = json.loads(headers.pop("X-Metadata"))
        return [Received(one["to"][0]["email"], one["subject"], one["html"], one["text"], headers, tags)]

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"emails": [{"mail_rcpt": one.to, "id": f"id-{one.to}", "status": "new"} for one in messages]}


class UnisenderGo(AnymailBench):
    variant = "unisender_go"

    def read(self, request: Request) -> list[Received]:
        one = json.loads(request.body)["message"]
        headers = {name: value for name, value in one["headers"].items() if name != "to"}
        body = one["body"]
        tags = {name: value for name, value in one["global_metadata"].items() if name != "anymail_id"}
        to = one["recipients"][0]["email"]
        return [Received(to, one["subject"], body["html"], body["plaintext"], headers, tags)]

    def told(self, mode: str, messages: list[Received]) -> Any:
        return {"status": "success", "job_id": "1", "emails": [one.to for one in messages]}


MADE: tuple[type[AnymailBench], ...] = (
    *(Mailgun, SendGrid, SparkPost, Postmark, Brevo, MailerSend, Mailjet, Resend, Mailtrap),
    *(Mandrill, Postal, Scaleway, UnisenderGo),
)
ANYMAIL_BENCHES: dict[str, Callable[[], AnymailBench]] = {f"anymail-{made.variant}": made for made in MADE}
