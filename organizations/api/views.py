"""The base of every endpoint: the key's organization, the scope each method asks for, one answer per Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar, Final, TypeVar

import orjson
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated, PermissionDenied, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from amazonsender.core.api.parsers import JsonParser, JsonRenderer, ProblemRenderer
from organizations.api.authentication import ApiKeyAuthentication
from organizations.api.throttling import KeyThrottle, add_headers
from organizations.models import ApiKey, Organization
from organizations.services.audit import acting_key
from organizations.services.idempotency import Answer, answer_once

Handler = Callable[..., Response]
NO_SUCH_FIELD: Final = ["There is no such field. The reference has those that there are."]
S = TypeVar("S", bound=serializers.BaseSerializer[Any])


def key_of(request: Request) -> ApiKey:
    """The key that asks. Raises NotAuthenticated for nobody's request."""
    if not isinstance(request.auth, ApiKey):
        raise NotAuthenticated("Send an API key as `Authorization: Bearer ask_…`.")
    return request.auth


class HasScope(BasePermission):
    """Asks for the scope that the view names for the method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        key = key_of(request)
        scope = getattr(view, "scopes", {}).get(request.method or "", "")
        if scope and scope not in key.scopes:
            raise PermissionDenied(f"This key has no scope {scope}. Make one that has.")
        return True


class ApiView(APIView):
    """`scopes` names what each method asks for; a method that isn't there is open to every key.

    `parameters` names those of the query string. What a view doesn't know is refused in query and body: a misspelled
    filter would show everybody, and a misspelled field would leave undone what the program believes done.
    """

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [HasScope]
    throttle_classes = [KeyThrottle]
    parser_classes = [JsonParser]
    renderer_classes = [JsonRenderer, ProblemRenderer]
    scopes: ClassVar[dict[str, str]] = {}
    parameters: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        known = ", ".join(sorted(self.parameters)) or "none"
        if unknown := sorted(set(request.query_params) - self.parameters):
            raise ValidationError({name: [f"There is no such parameter here; there are: {known}."] for name in unknown})

    @property
    def organization(self) -> Organization:
        return key_of(self.request).organization

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Nobody's key acts any more when the request is over: the thread serves others."""
        before = acting_key.set("")
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            acting_key.reset(before)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        if not isinstance(final, Response):
            raise TypeError("an endpoint answers with a Response")
        add_headers(request, final)
        final["Cache-Control"] = "no-store"
        return final

    def read(self, serializer: type[S], *, partial: bool = False) -> dict[str, Any]:
        """The body as the serializer reads it, with the fields that were given. Raises ValidationError."""
        given = serializer(data=self.request.data, partial=partial)
        if unknown := _unknown_fields(given, self.request.data):
            raise ValidationError(unknown)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)


def _unknown_fields(serializer: serializers.BaseSerializer[Any], given: Any) -> dict[str, Any]:
    """An error for each field that the serializer, or one inside of it, does not have."""
    fields = getattr(serializer, "fields", {})
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in fields:
            found[name] = NO_SUCH_FIELD
        elif isinstance(fields[name], serializers.Serializer) and (inner := _unknown_fields(fields[name], value)):
            found[name] = inner
    return found


def idempotent(handler: Handler) -> Handler:
    """Give the same answer to a POST with the same Idempotency-Key, and do it once."""

    @wraps(handler)
    def answered(self: ApiView, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return handler(self, request, *args, **kwargs)
        whole = b"\0".join([(request.method or "").encode(), request.get_full_path().encode(), request._request.body])

        def act() -> Answer:
            response = handler(self, request, *args, **kwargs)
            return Answer(response.status_code, orjson.loads(JsonRenderer().render(response.data) or b"null"))

        answer = answer_once(api_key=key_of(request), idempotency_key=key, request=whole, act=act)
        headers = {"Idempotent-Replayed": "true"} if answer.is_replayed else None
        return Response(answer.body, status=answer.status, headers=headers)

    return answered


class KeySerializer(serializers.Serializer[Any]):
    """The key that asks."""

    name = serializers.CharField()
    prefix = serializers.CharField(help_text="How the secret begins.")
    scopes = serializers.ListField(child=serializers.CharField())
    organization = serializers.CharField(source="organization.name")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class KeyView(ApiView):
    """The key that asks."""

    @extend_schema(operation_id="key_get", tags=["key"], responses=KeySerializer)
    def get(self, request: Request) -> Response:
        """Say whose key this is and what it may do."""
        return Response(KeySerializer(request.auth).data)
