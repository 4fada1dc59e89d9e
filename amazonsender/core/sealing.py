"""Secrets of others that have to be kept: sealed with keys derived from SECRET_KEY, never in the clear in the database.

A backup of the database alone opens none of them. When SECRET_KEY changes, put the old one into SECRET_KEY_FALLBACKS, or
enter the secrets again.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class SealBrokenError(Exception):
    """Sealed with another SECRET_KEY, or changed since."""


def seal(text: str) -> str:
    """Seal a text; the newest key seals."""
    return _keys(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(text.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    """Open what `seal` made. Raises SealBrokenError."""
    try:
        return _keys(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise SealBrokenError("SECRET_KEY is not the one that this was sealed with") from error


@cache
def _keys(*secrets: str) -> MultiFernet:
    def derive(secret: str) -> Fernet:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"amazonsender sealing 1")
        return Fernet(urlsafe_b64encode(derivation.derive(secret.encode())))

    return MultiFernet([derive(secret) for secret in secrets])
