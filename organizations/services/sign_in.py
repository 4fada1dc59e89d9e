"""Links that sign somebody in once. The link is the secret; the table holds only its digest."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from typing import Final

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import NotFound
from organizations.models import SignInLink, User

LIFETIME: Final = datetime.timedelta(hours=24)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def create_sign_in_link(*, user: User) -> str:
    """Make a link that signs the user in once within 24 hours. Returns its path; PUBLIC_URL stands before it.

    Links that expired are deleted on the way: they open nothing, and the table stays small.
    """
    now = timezone.now()
    SignInLink.objects.filter(user=user, expires_at__lte=now).delete()
    token = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, digest=_digest(token), expires_at=now + LIFETIME)
    return reverse("sign_in_link", args=[token])


def use_sign_in_link(*, token: str) -> User:
    """Burn a link and return whom it signs in. Of two at the same moment, one wins.

    Raises NotFound for a link that is unknown, used, too old, or of somebody who may no longer sign in.
    """
    now = timezone.now()
    digest = _digest(token)
    burnt = SignInLink.objects.filter(digest=digest, used_at=None, expires_at__gt=now, user__is_active=True).update(
        used_at=now
    )
    if not burnt:
        raise NotFound(_("This link has been used already, or is older than a day."))
    return SignInLink.objects.select_related("user").get(digest=digest).user
