"""Forms in the shell's look, for pages with and without an account."""

from __future__ import annotations

from typing import Any

from django import forms


class PageFormMixin:
    """Gives each control the class that as/_field.html expects, and marks the wrong ones."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
                field.widget.attrs.setdefault("class", "as-input")
