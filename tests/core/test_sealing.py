from __future__ import annotations

import pytest
from pytest_django import Settings

from amazonsender.core.sealing import SealBrokenError, seal, unseal


def test_what_is_sealed_can_be_read_by_whoever_has_the_key(settings: Settings) -> None:
    sealed = seal("secret")

    assert "secret" not in sealed
    assert seal("secret") != sealed
    assert unseal(sealed) == "secret"
    former = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    for wrong in (sealed, "rubbish"):
        with pytest.raises(SealBrokenError, match="SECRET_KEY"):
            unseal(wrong)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert unseal(sealed) == "secret"
