"""Connecting a mail server or a sending service: one form made from what its provider asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from amazonsender.core.errors import InvalidInput
from delivery.models import SendingAccount
from delivery.providers.base import Option
from delivery.services.connecting import (
    AccountSettings,
    Connectable,
    connect_account,
    connectable,
    connectables,
    reconnect_account,
)
from organizations.access import access
from organizations.admin.forms import PageForm
from organizations.admin.pages import admin_page, render_page
from organizations.requests import organization_of, user_of
from organizations.selectors.operators import is_operator

MOST_PER_SECOND = 1_000_000
MOST_PER_DAY = 2_000_000_000


class ConnectionForm(PageForm):
    """Name, what the provider asks for, and how fast its owner may send."""

    def __init__(self, data: Any, *, target: Connectable, account: SendingAccount | None) -> None:
        super().__init__(data)
        self.target = target
        stored: Mapping[str, Any] = account.options if account else {}
        name = forms.CharField(max_length=120, label=_("Name"), initial=account.name if account else target.label)
        rate = forms.FloatField(
            min_value=0.1,
            max_value=MOST_PER_SECOND,
            label=_("People a second"),
            initial=account.rate_limit if account else 10,
            help_text=_("As many as your contract allows: the service doesn’t tell it to programs."),
        )
        day = forms.IntegerField(
            min_value=1,
            max_value=MOST_PER_DAY,
            required=False,
            label=_("People in 24 hours"),
            initial=account.day_limit if account else None,
            help_text=_("Empty: no limit."),
        )
        made = {option.name: _field(option, stored, is_new=account is None) for option in target.options}
        self.fields.update({"account_name": name, **made, "rate_limit": rate, "day_limit": day})
        for each in self.fields.values():
            each.widget.attrs.setdefault("class", "as-input")

    @property
    def option_fields(self) -> list[forms.BoundField]:
        """The provider's own."""
        return [self[option.name] for option in self.target.options]

    def settings(self) -> AccountSettings:
        """What was entered."""
        values = self.cleaned_data
        return AccountSettings(
            name=values["account_name"],
            rate_limit=values["rate_limit"],
            day_limit=values["day_limit"],
            values={option.name: values[option.name] for option in self.target.options},
        )


def _field(option: Option, stored: Mapping[str, Any], *, is_new: bool) -> forms.Field:
    common: dict[str, Any] = {
        "label": _(option.label),
        "help_text": _(option.help) if option.help else "",
        "required": option.is_required and (is_new or not option.is_secret),
        "initial": stored.get(option.name, option.default),
    }
    if option.is_secret:
        if not is_new:
            common["help_text"] = _("Leave it empty to keep what is there.")
        widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
        return forms.CharField(max_length=4000, widget=widget, **(common | {"initial": None}))
    if option.choices:
        return forms.ChoiceField(choices=[(value, _(label)) for value, label in option.choices], **common)
    if isinstance(option.default, int):
        return forms.IntegerField(**common)
    return forms.CharField(max_length=1000, **common)


@admin_page("account/connect/", name="sending_account_choose", permission="account:edit")
def choose(request: HttpRequest) -> HttpResponse:
    """What may be connected beside Amazon SES."""
    return render_page(
        request,
        "delivery/account_choose.html",
        title=_("Connect another service"),
        targets=connectables(),
        is_operator=is_operator(user_of(request)),
        is_fullwidth="1",
    )


@admin_page("account/connect/<slug:provider>/", name="sending_account_connect", permission="account:edit")
@require_http_methods(["GET", "HEAD", "POST"])
def connect(request: HttpRequest, provider: str) -> HttpResponse:
    """Enter the settings of a new account; `?service=` says which, where the provider knows several."""
    try:
        target = connectable(provider, request.GET.get("service", ""))
    except InvalidInput as error:
        messages.error(request, str(error))
        return redirect("admin:sending_account_choose")
    return _page(request, target, None)


@admin_page("account/<int:pk>/connection/", name="sending_account_connection", permission="account:edit")
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change the settings of an account that was connected so."""
    account = access(
        SendingAccount.objects.select_related("organization"), organization=organization_of(request), pk=pk
    )
    try:
        target = connectable(account.provider, account.variant)
    except InvalidInput:
        return redirect("admin:sending_account_edit", pk=pk)
    return _page(request, target, account)


def _page(request: HttpRequest, target: Connectable, account: SendingAccount | None) -> HttpResponse:
    form = ConnectionForm(request.POST or None, target=target, account=account)
    if request.method == "POST" and form.is_valid():
        try:
            saved = _save(request, form, account)
        except InvalidInput as error:
            form.add_error(None, str(error))
        else:
            if saved.check_error:
                said = _("Saved, but the service did not answer as hoped: %(error)s")
                messages.error(request, said % {"error": saved.check_error})
            else:
                messages.success(request, _("Connected."))
            return redirect("admin:sending_account", pk=saved.pk)
    return render_page(
        request,
        "delivery/account_connect.html",
        title=account.name if account else target.label,
        status=422 if form.errors else 200,
        form=form,
        account=account,
        target=target,
        is_operator=is_operator(user_of(request)),
        is_fullwidth="1",
    )


def _save(request: HttpRequest, form: ConnectionForm, account: SendingAccount | None) -> SendingAccount:
    if account is not None:
        return reconnect_account(account=account, actor=user_of(request), settings=form.settings())
    return connect_account(
        organization=organization_of(request),
        actor=user_of(request),
        provider=form.target.provider,
        variant=form.target.variant,
        settings=form.settings(),
    )
