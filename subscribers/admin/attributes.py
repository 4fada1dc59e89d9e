from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amazonsender.core.errors import InvalidInput
from organizations.admin.base import OrganizationAdmin
from organizations.requests import user_of
from subscribers.models import AttributeDefinition
from subscribers.services.attributes import check_key, delete_attribute


@admin.register(AttributeDefinition)
class AttributeAdmin(OrganizationAdmin):
    """Typed fields. Key and type stay what they are: values of the old type would lie about."""

    resource = "subscriber"
    is_deletable = True
    uses_jquery = True  # the stock form's own scripts ask for it
    headline = gettext_lazy("What you keep of each person.")
    list_display = ("__str__", "key", "type")
    ordering = ("id",)
    fields = ("key", "label", "type", "choices")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("key", "type") if obj is not None else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "key" in form.base_fields:
            form.base_fields["key"].help_text = _("As emails use it: {{ attributes.city }}. It can't be changed later.")
            form.base_fields["key"].validators.append(_valid_key)
        return form

    def delete_model(self, request: HttpRequest, obj: AttributeDefinition) -> None:
        people = delete_attribute(attribute=obj, actor=user_of(request))
        messages.info(request, _("%(people)s people had a value.") % {"people": people})

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AttributeDefinition]) -> None:
        for attribute in queryset:
            delete_attribute(attribute=attribute, actor=user_of(request))


def _valid_key(key: str) -> None:
    try:
        check_key(key)
    except InvalidInput as error:
        raise ValidationError(str(error)) from None
