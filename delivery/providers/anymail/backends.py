"""anymail's backends and messages, made for one account. The only module here that knows Django.

Every keyword is given, so that nothing comes from settings of Django. Neither anymail nor what it sends with tries
anything twice: requests' adapters make no retries, and a redirect ends the call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import quote_plus

import orjson
import requests
from anymail.exceptions import AnymailError, AnymailRequestsAPIError
from anymail.message import AnymailMessage
from django.core.exceptions import ImproperlyConfigured
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from delivery.providers.anymail.services import Bodies, Service
from delivery.providers.base import PermanentError

NOT_OPTIONS = ("webhook_secret",)


def make_backend(key: str, service: Service, options: Mapping[str, Any], timeouts: tuple[float, float]) -> Any:
    """An opened backend with a kept connection. timeouts: to connect and to read, in seconds.

    Raises PermanentError for options that anymail refuses.
    """
    guards = {*service.guards, *NOT_OPTIONS} - {"api_key"}
    given = {name: value for name, value in options.items() if name not in guards}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of services that anymail supports no longer, and works with still
            backend = _backend_class(key, service)(
                **given, **service.constructor, timeout=timeouts, ignore_recipient_status=True
            )
        backend.open()
    except (TypeError, ValueError, OSError, AnymailError, ImproperlyConfigured) as error:
        raise PermanentError(f"{service.label}: {error}") from error
    return backend


def make_message(
    *,
    subject: str,
    html: str,
    text: str,
    sender: str,
    reply_to: Sequence[str],
    to: Sequence[str],
    headers: Mapping[str, str],
    **batch: Any,
) -> Any:
    """A message with anymail's attributes; `batch` are those that are set: merge_data, merge_headers, metadata, …"""
    message = AnymailMessage(
        subject=subject, body=text, from_email=sender, reply_to=list(reply_to), to=list(to), headers=dict(headers)
    )
    if html:
        message.attach_alternative(html, "text/html")
    for name, value in batch.items():
        setattr(message, name, value)
    return message


def _backend_class(key: str, service: Service) -> Any:
    """anymail's backend of a service with a session of ours and, where bodies are written, one for each person."""
    base = import_module(f"anymail.backends.{key}").EmailBackend

    class Backend(base):  # type: ignore[misc, valid-type]
        def create_session(self) -> requests.Session:
            session: requests.Session = super().create_session()
            session.max_redirects = 0
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=1))
            return session

        def build_message_payload(self, message: Any, defaults: Any) -> Any:
            payload = super().build_message_payload(message, defaults)
            if service.bodies is Bodies.WRITTEN:
                payload.serialize_json = _Writer(service, message.as_persons, message.as_headers)
            elif service.has_form:
                payload.serialize_data = partial(_form, payload, payload.serialize_data)
            return payload

        def parse_recipient_status(self, response: Any, payload: Any, message: Any) -> Any:
            message.as_document = _document(response)
            try:
                return super().parse_recipient_status(response, payload, message)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                if isinstance(error, AnymailError):
                    raise
                raise AnymailRequestsAPIError(
                    "an answer that is none", email_message=message, payload=payload, response=response, backend=self
                ) from error

    return Backend


class _Writer:
    """In place of a payload's `serialize_json`: writes each person's parts into their message of the request."""

    def __init__(self, service: Service, persons: list[dict[str, str]], headers: list[dict[str, str]]) -> None:
        self._service = service
        self._persons = persons
        self._headers = headers

    def __call__(self, data: Any) -> str | bytes:
        written = self._service.written
        messages = written.messages(data) if written else None
        if written is None or messages is None:
            return orjson.dumps(data, default=_plain).decode()  # a part of the request, such as metadata
        if len(messages) != len(self._persons):
            raise PermanentError(f"{len(messages)} messages for {len(self._persons)} people")
        for message, person, headers in zip(messages, self._persons, self._headers, strict=True):
            message[written.subject] = person["subject"]
            if person["html"]:
                message[written.html] = person["html"]
            message[written.text] = person["text"]
            if self._service.tag_field:
                message[self._service.tag_field] = [person["tag"]]
            if written.has_header_list:
                message[written.headers] = [{"name": name, "value": value} for name, value in headers.items()]
            elif written.headers:
                message[written.headers] = headers
        return orjson.dumps(data, default=_plain)


# urllib.parse quotes a byte at a time, which took two fifths of a call to a thousand people.
_QUOTED = str.maketrans({chr(byte): quote_plus(bytes([byte])) for byte in range(256)})


def _form(payload: Any, serialize: Callable[[], dict[str, Any]]) -> bytes:
    """A request's fields as an HTML form sends them, where a value may be a list of several."""
    payload.headers["Content-Type"] = "application/x-www-form-urlencoded"
    pairs = [
        f"{_quote(name)}={_quote(str(one))}"
        for name, value in serialize().items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return "&".join(pairs).encode("ascii")


def _quote(text: str) -> str:
    return text.encode().decode("latin-1").translate(_QUOTED)


def _plain(value: object) -> object:
    if isinstance(value, CaseInsensitiveDict):
        return dict(value)
    raise TypeError


def _document(response: Any) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
