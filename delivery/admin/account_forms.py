"""Forms of a sending account: connecting one, and changing it later."""

from __future__ import annotations

from typing import ClassVar, Final

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from delivery.models import SendingAccount
from delivery.providers.ses.names import CONFIGURATION_SET, REGION, TOPIC_ARN
from organizations.admin.forms import PageModelForm

MOST_TOPICS: Final = 20
MOST_CALLS: Final = 500  # each is a thread with a connection of its own


class AccountForm(forms.Form):
    """What is needed to connect one."""

    name = forms.CharField(max_length=120)
    region = forms.RegexField(REGION, max_length=40)
    configuration_set = forms.RegexField(CONFIGURATION_SET, max_length=64, required=False)
    topic_arn = forms.RegexField(TOPIC_ARN, max_length=300, required=False)


class LimitForm(forms.Form):
    rate_limit = forms.FloatField(min_value=0.1, max_value=1_000_000, required=False)


class TopicsField(forms.Field):
    """ARNs of SNS topics, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[str]:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def validate(self, value: list[str]) -> None:
        if len(value) > MOST_TOPICS:
            raise forms.ValidationError(_("At most %(n)s topics.") % {"n": MOST_TOPICS})
        for arn in value:
            check = RegexValidator(TOPIC_ARN, _("“%(arn)s” is no ARN of an SNS topic.") % {"arn": arn[:100]})
            check(arn)

    def has_changed(self, initial: object, data: object) -> bool:
        return self.to_python(initial) != self.to_python(data)


class LocalAccountForm(PageModelForm):
    """What its organization may change of any account; how a local one is connected is set up for it."""

    rate_limit = forms.FloatField(
        min_value=0.1,
        max_value=1_000_000,
        required=False,
        label=gettext_lazy("Own limit, people a second"),
        help_text=gettext_lazy("Never more than this, whatever Amazon allows. Empty: as much as it allows."),
    )
    calls_in_flight = forms.IntegerField(
        min_value=1,
        max_value=MOST_CALLS,
        label=gettext_lazy("Calls in flight"),
        help_text=gettext_lazy("Calls at a time in each send process. More help only where Amazon answers slowly."),
    )

    class Meta:
        model = SendingAccount
        fields: ClassVar[list[str]] = ["name", "rate_limit", "calls_in_flight"]


class AmazonAccountForm(LocalAccountForm):
    """What may be changed of an account at Amazon."""

    region = forms.RegexField(
        REGION,
        max_length=40,
        label=gettext_lazy("Region"),
        help_text=gettext_lazy("Such as eu-central-1. Senders are verified in each region anew."),
    )
    configuration_set = forms.RegexField(
        CONFIGURATION_SET,
        max_length=64,
        required=False,
        label=gettext_lazy("Configuration set"),
        help_text=gettext_lazy("Where Amazon is told to report bounces, complaints and deliveries."),
    )
    topic_arns = TopicsField(
        required=False,
        label=gettext_lazy("SNS topics"),
        help_text=gettext_lazy("Their ARNs, one a line. Only messages of these topics are believed."),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )

    class Meta(LocalAccountForm.Meta):
        fields: ClassVar[list[str]] = [
            "name",
            "region",
            "configuration_set",
            "topic_arns",
            "rate_limit",
            "calls_in_flight",
        ]
