from __future__ import annotations

import pytest

from delivery.providers.base import PermanentError
from delivery.providers.registry import FACTORIES, create_provider
from delivery.providers.ses import SesProvider


def test_a_provider_is_made_by_name() -> None:
    provider = create_provider("ses", region="eu-central-1", access_key="A", secret_key="b")

    assert isinstance(provider, SesProvider)
    assert set(FACTORIES) == {"anymail", "ses", "smtp"}


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PermanentError, match="'pigeon' is no provider; there are: anymail, ses, smtp"):
        create_provider("pigeon")
