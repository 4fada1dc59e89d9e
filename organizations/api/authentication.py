"""API keys as bearer tokens."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from amazonsender.core.throttle import seconds_to_wait
from organizations.models import ApiKey
from organizations.services.api_keys import find_api_key
from organizations.services.audit import acting_key

WRONG_KEYS_RATE: Final = "30/m"  # per address; nobody mistypes a key oftener, and guessing is hopeless anyway


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer ask_…`. The key is `request.auth`; nobody is `request.user`."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        kind, _space, secret = get_authorization_header(request).partition(b" ")
        if not kind:
            return None
        if kind.lower() != b"bearer" or not secret.strip():
            raise AuthenticationFailed("Send the key as `Authorization: Bearer ask_…`.")
        key = find_api_key(secret.strip().decode("latin-1"))
        if key is None:
            wait = seconds_to_wait(request._request, group="api-wrong-key", rate=WRONG_KEYS_RATE)
            if wait is not None:
                raise Throttled(wait)
            raise AuthenticationFailed("There is no such key, or it is closed. Make one under Settings, API keys.")
        acting_key.set(str(key))
        vars(request._request)["organization"] = key.organization  # for the log of requests
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="AmazonSender"'


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A key made in the admin under Settings, API keys."}
