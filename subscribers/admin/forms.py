from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from amazonsender.core.errors import Conflict, DomainError
from organizations.admin.forms import PageForm, PageModelForm
from organizations.models import Organization
from subscribers.addresses import InvalidAddress
from subscribers.models import AttributeDefinition, AttributeType, List, Subscriber, SuppressionScope
from subscribers.selectors.people import attributes_of

_PREFIX = "attribute_"


class PersonForm(PageForm):
    """A person's own fields and the organization's attributes, each with its type."""

    email = forms.CharField(label=_("Address"), max_length=320)
    first_name = forms.CharField(label=_("First name"), required=False, max_length=120)
    last_name = forms.CharField(label=_("Last name"), required=False, max_length=120)
    locale = forms.CharField(label=_("Language"), required=False, max_length=12, help_text=_("Such as en or pt-BR."))
    time_zone = forms.CharField(label=_("Time zone"), required=False, help_text=_("Such as Europe/Riga."))
    tags = forms.CharField(label=_("Tags"), required=False, help_text=_("Separated by commas."))
    list = forms.ModelChoiceField(
        label=_("Put on the list"), queryset=List.objects.none(), required=False, empty_label="–"
    )
    consent = forms.CharField(
        label=_("How did they agree?"), required=False, help_text=_("Kept with the person as proof.")
    )

    def __init__(self, *args: Any, organization: Organization, person: Subscriber | None = None, **kwargs: Any) -> None:
        self.definitions = attributes_of(organization)
        if person is not None:
            kwargs["initial"] = _initial(person, self.definitions)
        super().__init__(*args, **kwargs)
        lists = self.fields["list"]
        if person is not None:
            del self.fields["list"], self.fields["consent"]
        elif isinstance(lists, forms.ModelChoiceField):
            lists.queryset = List.objects.for_organization(organization).order_by("name")
        for definition in self.definitions:
            field = _field_for(definition)
            field.widget.attrs["class"] = "as-input"
            self.fields[f"{_PREFIX}{definition.key}"] = field

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("list") is not None and not data.get("consent"):
            self.add_error("consent", _("Without it nobody may be put on a list."))
        return data

    def person_fields(self) -> dict[str, Any]:
        """Return the arguments of the services."""
        data = self.cleaned_data
        fields = {name: data[name] for name in ("email", "first_name", "last_name", "locale", "time_zone")}
        fields["tags"] = data["tags"].split(",")
        fields["attributes"] = {one.key: data[f"{_PREFIX}{one.key}"] for one in self.definitions}
        return fields

    def field_of(self, error: DomainError) -> str | None:
        """Say beside which field a refusal belongs."""
        return "email" if isinstance(error, InvalidAddress | Conflict) else None

    @property
    def attribute_fields(self) -> Sequence[forms.BoundField]:
        return [self[f"{_PREFIX}{definition.key}"] for definition in self.definitions]


def _field_for(definition: AttributeDefinition) -> forms.Field:
    label = str(definition)
    if definition.type == AttributeType.CHOICE and definition.choices:
        choices = [("", "–"), *((choice, choice) for choice in definition.choices)]
        return forms.ChoiceField(label=label, required=False, choices=choices)
    if definition.type == AttributeType.BOOLEAN:
        return forms.ChoiceField(
            label=label, required=False, choices=[("", "–"), ("true", _("yes")), ("false", _("no"))]
        )
    if definition.type == AttributeType.DATE:
        return forms.CharField(label=label, required=False, widget=forms.TextInput(attrs={"type": "date"}))
    help_text = _("Separated by commas.") if definition.type == AttributeType.LIST else ""
    return forms.CharField(label=label, required=False, help_text=help_text)


def _initial(person: Subscriber, definitions: list[AttributeDefinition]) -> dict[str, Any]:
    initial: dict[str, Any] = {
        name: getattr(person, name) for name in ("email", "first_name", "last_name", "locale", "time_zone")
    }
    initial["tags"] = ", ".join(person.tags)
    for definition in definitions:
        value = person.attributes.get(definition.key, "")
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        elif isinstance(value, bool):
            value = "true" if value else "false"
        initial[f"{_PREFIX}{definition.key}"] = value
    return initial


class AttributeForm(PageForm):
    """A field of people. What it is called may change, what it is may not."""

    label = forms.CharField(label=_("Name"), max_length=120, required=False)
    key = forms.CharField(
        label=_("Key"),
        max_length=60,
        help_text=_("As emails use it: {{ attributes.city }}. It can't be changed later."),
    )
    type = forms.ChoiceField(
        label=_("Type"),
        choices=AttributeType.choices,
        initial=AttributeType.TEXT,
        help_text=_("It can't be changed later."),
    )
    choices = forms.CharField(
        label=_("Choices"), required=False, widget=forms.Textarea(attrs={"rows": 4}), help_text=_("One a line.")
    )

    def __init__(self, *args: Any, attribute: AttributeDefinition | None, **kwargs: Any) -> None:
        if attribute is not None:
            kwargs["initial"] = {"label": attribute.label, "choices": "\n".join(attribute.choices)}
        super().__init__(*args, **kwargs)
        if attribute is not None:
            del self.fields["key"], self.fields["type"]
            if attribute.type != AttributeType.CHOICE:
                del self.fields["choices"]

    def clean_choices(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["choices"].splitlines() if line.strip()]


class ListForm(PageModelForm):
    """What people see of a list on the preference page."""

    class Meta:
        model = List
        fields = ("name", "description", "is_public")


class SuppressionForm(PageForm):
    """An address that asked elsewhere not to be mailed."""

    email = forms.CharField(label=_("Address"), max_length=320)
    scope = forms.ChoiceField(
        label=_("What is stopped"), choices=SuppressionScope.choices, initial=SuppressionScope.MARKETING
    )
    list = forms.ModelChoiceField(
        label=_("List"),
        queryset=List.objects.none(),
        required=False,
        empty_label="–",
        help_text=_("Only where one list is stopped."),
    )
    note = forms.CharField(label=_("Why"), max_length=300, help_text=_("Such as: asked on the phone on 3 May."))

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lists = self.fields["list"]
        if isinstance(lists, forms.ModelChoiceField):
            lists.queryset = List.objects.for_organization(organization).order_by("name")
