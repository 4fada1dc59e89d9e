"""What the steps of a campaign accept: one typed layer between the browser and the services."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from amazonsender.core.errors import InvalidInput
from campaigns.models import ContentFormat
from campaigns.services.field_values import Changes
from campaigns.services.local_times import LocalMoment, resolve_local

LONG = 1_100_000  # a little more than what is saved, so that the service can name the size
SECONDS_PER = {"second": 1, "minute": 60, "hour": 3600}


class ContentForm(forms.Form):
    format = forms.ChoiceField(choices=ContentFormat.choices, required=False)
    body = forms.CharField(required=False, strip=False, max_length=LONG)
    template_id = forms.IntegerField(required=False, min_value=1)


class AudienceForm(forms.Form):
    list_ids = forms.TypedMultipleChoiceField(coerce=int, required=False)
    excluded_list_ids = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, data: QueryDict, list_ids: list[int]) -> None:
        super().__init__(data)
        choices = [(str(pk), str(pk)) for pk in list_ids]
        for name in ("list_ids", "excluded_list_ids"):
            cast(forms.TypedMultipleChoiceField, self.fields[name]).choices = choices


class SenderForm(forms.Form):
    subject = forms.CharField(required=False, max_length=2000)
    preheader = forms.CharField(required=False, max_length=2000)
    sender_name = forms.CharField(required=False, max_length=400)
    sender_email = forms.CharField(required=False, max_length=400)
    reply_to = forms.CharField(required=False, max_length=400)
    account_id = forms.IntegerField(required=False, min_value=1)


class NameForm(forms.Form):
    name = forms.CharField(max_length=400, required=False)


class WhenForm(forms.Form):
    when = forms.ChoiceField(choices=[("now", ""), ("at", ""), ("local", "")])
    day = forms.DateField(required=False)
    time = forms.TimeField(required=False)
    cutoff = forms.BooleanField(required=False)
    cutoff_day = forms.DateField(required=False)
    cutoff_time = forms.TimeField(required=False)


class PaceForm(forms.Form):
    pace = forms.ChoiceField(choices=[("full", ""), ("own", "")])
    amount = forms.IntegerField(min_value=1, max_value=1_000_000, required=False)
    per = forms.ChoiceField(choices=[(name, "") for name in SECONDS_PER], required=False)


# Which fields of the campaign an input of the step When stands for.
WHEN_INPUTS = {
    "when": ("scheduled_at", "is_by_local_time"),
    "day": ("scheduled_at",),
    "time": ("scheduled_at",),
    "cutoff": ("not_after",),
    "cutoff_day": ("not_after",),
    "cutoff_time": ("not_after",),
}


def cleaned(form: forms.Form) -> dict[str, object]:
    """The typed values; raises InvalidInput with the first sentence about what is wrong."""
    if form.is_valid():
        return dict(form.cleaned_data)
    errors = next(iter(form.errors.values()))
    raise InvalidInput(str(errors[0]))


def read_content(data: QueryDict) -> Changes:
    """Read the step Content."""
    values = cleaned(ContentForm(data))
    changes: Changes = {
        "body": cast(str, values["body"]),
        "template_id": cast("int | None", values["template_id"]),
    }
    if values["format"]:
        changes["format"] = cast(str, values["format"])
    return changes


def read_audience(data: QueryDict, list_ids: list[int]) -> Changes:
    """Read the step Audience; lists of others do not validate."""
    values = cleaned(AudienceForm(data, list_ids))
    return {
        "list_ids": cast("list[int]", values["list_ids"]),
        "excluded_list_ids": cast("list[int]", values["excluded_list_ids"]),
    }


def read_sender(data: QueryDict) -> Changes:
    """Read the step Sender & subject."""
    return cast(Changes, cleaned(SenderForm(data)))


def read_when(data: QueryDict, zone: zoneinfo.ZoneInfo) -> tuple[Changes, list[str]]:
    """Read the step When; also what has to be said about a clock change."""
    values = cleaned(WhenForm(data))
    start = cut = None
    if values["when"] != "now":
        start = _moment(values["day"], values["time"], zone)
    if values["cutoff"]:
        cut = _moment(values["cutoff_day"], values["cutoff_time"], zone)
    changes: Changes = {
        "scheduled_at": start.at if start else None,
        "is_by_local_time": values["when"] == "local",
        "not_after": cut.at if cut else None,
    }
    return changes, [moment.note for moment in (start, cut) if moment and moment.note]


def read_pace(data: QueryDict) -> float | None:
    """Read a pace in people per second; None: as fast as the account allows."""
    values = cleaned(PaceForm(data))
    if values["pace"] == "full":
        return None
    if not values["amount"]:
        raise InvalidInput(_("How many people at most? Type a number."))
    return cast(int, values["amount"]) / SECONDS_PER[cast(str, values["per"] or "second")]


def _moment(day: object, time: object, zone: zoneinfo.ZoneInfo) -> LocalMoment:
    if not isinstance(day, datetime.date) or not isinstance(time, datetime.time):
        raise InvalidInput(_("Choose a day and an hour."))
    return resolve_local(day, time, zone)
