"""What readers reach: no login, no trailing slashes, no redirects between spellings."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
