from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from organizations.admin.forms import PageModelForm
from organizations.admin.pages import admin_page, render_page
from organizations.models import Organization
from organizations.requests import allowed, organization_of, user_of
from organizations.services.organizations import update_organization


class OrganizationSettingsForm(PageModelForm):
    """What an organization says of itself, and its defaults for campaigns."""

    test_recipients = SimpleArrayField(
        forms.EmailField(),
        required=False,
        label=gettext_lazy("Test recipients"),
        help_text=gettext_lazy("Addresses that get test sends, separated by commas. They need not be subscribers."),
    )

    website = forms.URLField(required=False, label=gettext_lazy("Website"), assume_scheme="https")

    class Meta:
        model = Organization
        fields: ClassVar[list[str]] = [
            "name",
            "postal_address",
            "website",
            "time_zone",
            "locale",
            "sender_name",
            "sender_email",
            "reply_to",
            "test_recipients",
        ]
        widgets: ClassVar[dict[str, Any]] = {
            "postal_address": forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
        }

    def clean_postal_address(self) -> str:
        return str(self.cleaned_data["postal_address"]).strip()


@admin_page(
    "organization/", name="organization_settings", permission="organization:view", post_permission="organization:edit"
)
@require_http_methods(["GET", "HEAD", "POST"])
def organization_settings(request: HttpRequest) -> HttpResponse:
    """Show the organization's settings; save them for those who may."""
    organization = organization_of(request)
    form = OrganizationSettingsForm(request.POST or None, instance=organization)
    if request.method == "POST" and form.is_valid():
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        organization.refresh_from_db()  # the form has already written on it
        update_organization(organization=organization, actor=user_of(request), changes=changes)
        messages.success(request, _("Saved."))
        return redirect("admin:organization_settings")
    is_editable = allowed(request, "organization:edit")
    if not is_editable:
        for field in form.fields.values():
            field.disabled = True
    title = _("Organization")
    return render_page(request, "organizations/settings.html", title=title, form=form, is_editable=is_editable)
