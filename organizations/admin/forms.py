"""Forms of our own pages: controls that carry the shell's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from organizations.forms import PageFormMixin

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm  # generic for the type checker only


class PageForm(PageFormMixin, forms.Form):
    """A plain form in the shell's look."""


class PageModelForm(PageFormMixin, ModelForm):
    """A model's form in the shell's look."""
