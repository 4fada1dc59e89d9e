"""What readers reach: no login, no trailing slashes, no redirects between spellings."""

from __future__ import annotations

from django.urls import path, re_path

from delivery.views.leaving import preferences, unsubscribe
from delivery.views.tracking import follow_link, open_pixel, show_email

PART = r"[A-Za-z0-9_-]{1,100}"
SIGNED = r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+"

urlpatterns = [
    re_path(rf"^o/(?P<track>{PART})\.gif$", open_pixel, name="open_pixel"),
    re_path(
        rf"^c/(?P<track>{PART})/(?P<number>[0-9]{{1,4}})(?:/(?P<signed>{SIGNED}))?$", follow_link, name="follow_link"
    ),
    path("v/<str:track>", show_email, name="show_email"),
    path("u/<str:manage>", unsubscribe, name="unsubscribe"),
    path("p/<str:manage>", preferences, name="preferences"),
]
