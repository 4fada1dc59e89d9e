"""Refusals as problem details (RFC 9457): one shape for everything that an endpoint says no to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from amazonsender.core.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound

MEDIA_TYPE: Final = "application/problem+json"
STATUS_OF: Final[tuple[tuple[type[DomainError], int], ...]] = (
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
    (InvalidInput, 400),
)


class TooLarge(exceptions.APIException):
    """The body is larger than an endpoint reads."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class FieldErrorSerializer(serializers.Serializer[Any]):
    """What is wrong with one field; `field` is a path such as `attributes.points`, "" for the whole body."""

    field = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """Why nothing was done, and what to do."""

    type = serializers.CharField(help_text="about:blank: the status says it all.")
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence for a person.")
    errors = FieldErrorSerializer(  # type: ignore[assignment]  # declared fields leave the class, and `errors` stays
        many=True, required=False, help_text="Per field, where fields are wrong."
    )
    reasons = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Everything that stands against it."
    )


def problem(
    status: int, detail: str, *, errors: Sequence[Mapping[str, str]] = (), reasons: Sequence[str] = ()
) -> dict[str, Any]:
    """The body of a refusal."""
    body: dict[str, Any] = {
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail,
    }  # fmt: skip
    if errors:
        body["errors"] = list(errors)
    if reasons:
        body["reasons"] = list(reasons)
    return body


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn what a view raised into a problem; None for a fault of ours, which Django reports and answers with 500."""
    headers: dict[str, str] = {}
    body: dict[str, Any] | None = None
    if isinstance(error, DomainError):
        # Not ready, not compilable: refused as it stands, with every reason.
        status = next((status for kind, status in STATUS_OF if isinstance(error, kind)), 409)
        body = problem(status, str(error), reasons=getattr(error, "reasons", ()))
    elif isinstance(error, exceptions.ValidationError):
        errors = list(field_errors(error.detail))
        body = problem(400, "Some fields can't be used as they are.", errors=errors)
    elif isinstance(error, Http404):
        body = problem(404, "There is nothing here.")
    elif isinstance(error, PermissionDenied):
        body = problem(403, "Not allowed.")
    elif isinstance(error, RequestDataTooBig):
        body = problem(413, "The body is too large.")
    elif isinstance(error, exceptions.APIException):
        body = problem(error.status_code, _sentence(error, context))
        headers = _headers(error, context)
    if body is None:
        return None
    return Response(body, status=body["status"], headers=headers, content_type=MEDIA_TYPE)


def field_errors(detail: Any, path: str = "") -> Sequence[dict[str, str]]:
    """Flatten the nested errors of serializers: one entry per sentence."""
    if isinstance(detail, Mapping):
        return [one for name, inner in detail.items() for one in field_errors(inner, _inner_path(path, name))]
    if isinstance(detail, list):
        found: list[dict[str, str]] = []
        for place, inner in enumerate(detail):  # sentences about the field, or per item what is wrong with it
            found.extend(field_errors(inner, _inner_path(path, place) if isinstance(inner, Mapping) else path))
        return found
    return [{"field": path, "detail": str(detail)}]


def _inner_path(path: str, name: str | int) -> str:
    if name == "non_field_errors":
        return path
    return f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}".lstrip(".")


@csrf_exempt  # programs have no cookies, and get a 404 for a wrong address whatever the method
def not_found(request: HttpRequest, **_parameters: object) -> JsonResponse:
    """Answer for addresses under /api/ that lead nowhere."""
    hint = " Addresses have no slash at the end." if request.path.endswith("/") else ""
    return refuse(404, f"There is no such endpoint.{hint}")


def refuse(status: int, detail: str) -> JsonResponse:
    """Answer with a problem where no endpoint was reached."""
    return JsonResponse(problem(status, detail), status=status, content_type=MEDIA_TYPE)


def _sentence(error: exceptions.APIException, context: Mapping[str, Any]) -> str:
    if isinstance(error, exceptions.UnsupportedMediaType):
        return "Send JSON, and say so: `Content-Type: application/json`."
    if isinstance(error, exceptions.MethodNotAllowed):
        return f"There is no {context['request'].method} here, but {', '.join(context['view'].allowed_methods)}."
    detail = error.detail
    return str(detail if not isinstance(detail, list | dict) else error.default_detail)


def _headers(error: exceptions.APIException, context: Mapping[str, Any]) -> dict[str, str]:
    headers = {}
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    return headers
