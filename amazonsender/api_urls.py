"""Everything under /api/: the endpoints of the apps, the OpenAPI document and its reference page."""

from __future__ import annotations

from csp.decorators import csp_update
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from amazonsender.core.api.problems import not_found

# Swagger UI writes the sizes of its parts into style elements; its script comes from a file of ours.
reference = csp_update({"style-src": ["'unsafe-inline'"]})(SpectacularSwaggerSplitView.as_view(url_name="api-schema"))

urlpatterns = [
    path("", reference, name="api-reference"),
    path("openapi", SpectacularAPIView.as_view(), name="api-schema"),
    path("v1/", include("organizations.api.urls")),
    path("v1/", include("subscribers.api.urls")),
    path("v1/", include("campaigns.api.urls")),
    path("v1/", include("delivery.api.urls")),
    re_path(r"^(?P<rest>.*)$", not_found, name="api-not-found"),
]
