"""Every route of the installation."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("admin/", admin.site.urls),
    path("api/", include("amazonsender.api_urls")),
    path("", include("organizations.urls")),
    path("", include("delivery.urls")),
    path("", include("webhooks.urls")),
]
