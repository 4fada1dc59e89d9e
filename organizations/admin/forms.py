"""Forms of our own pages: controls that carry the shell's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm  # generic for the type checker only


class PageFormMixin:
    """Gives each control the class that as/_field.html expects, and marks the wrong ones."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
                field.widget.attrs.setdefault("class", "as-input")


class PageForm(PageFormMixin, forms.Form):
    """A plain form in the shell's look."""


class PageModelForm(PageFormMixin, ModelForm):
    """A model's form in the shell's look."""
