"""The OpenAPI document: what every operation has in common."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from amazonsender.core.api.problems import MEDIA_TYPE, ProblemSerializer

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200},
    location=OpenApiParameter.HEADER,
    description="The same key within 24 hours gets the first answer again, and nothing is done twice.",
)


class ApiSchema(AutoSchema):
    """Adds what every operation may answer: problem details."""

    problem_media_types: ClassVar[list[str]] = [MEDIA_TYPE]

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        refused = self._get_response_for_code(  # type: ignore[no-untyped-call]
            ProblemSerializer, "default", media_types=self.problem_media_types, direction=direction
        )
        refused["description"] = "Refused, or failed: problem details."
        return responses | {"default": refused}

    def map_renderers(self, attribute: str) -> list[str]:
        """Answers are JSON; problem details are what is refused."""
        return ["application/json"]

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = super().get_override_parameters()
        return [*parameters, IDEMPOTENCY_KEY] if self.method == "POST" else parameters
