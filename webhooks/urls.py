"""Where other services reach us. Without and with a trailing slash: a redirect would lose the event."""

from __future__ import annotations

from django.urls import re_path

from webhooks.accounts import receive_account
from webhooks.firehose import receive_firehose
from webhooks.views import receive_ses

urlpatterns = [
    re_path(r"^webhooks/account/(?P<account_id>[0-9]{1,9})/?$", receive_account, name="webhook_account"),
    re_path(r"^webhooks/firehose/?$", receive_firehose, name="webhook_firehose"),
    re_path(r"^webhooks/ses(?:/(?P<rest>[A-Za-z0-9_./-]{0,200}))?$", receive_ses, name="webhook_ses"),
]
