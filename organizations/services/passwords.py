"""Ways back in for whoever forgot the password, and what follows when one is changed."""

from __future__ import annotations

import datetime
from typing import Final, Literal

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from django.utils.translation import gettext as _

from amazonsender.core.enqueue import enqueue
from amazonsender.core.errors import NotFound
from organizations.models import SignInLink, SystemEmail, SystemEmailPurpose, User
from organizations.selectors.members import find_person
from organizations.services import system_emails
from organizations.services.letters import new_password_letter, password_changed_letter, sign_in_letter
from organizations.services.sign_in import create_sign_in_link

MOST_AN_HOUR: Final = 3  # letters to one mailbox, whoever asks
USEFUL_FOR: Final = datetime.timedelta(hours=1)
NOTICE_USEFUL_FOR: Final = datetime.timedelta(days=1)
ASKED_FOR: Final = (SystemEmailPurpose.PASSWORD_RESET, SystemEmailPurpose.SIGN_IN_LINK)


class _NobodyGetsIt(Exception):
    """Takes back what was written for the sake of its time."""


def request_way_in(*, email: str, way: Literal["password", "sign_in"]) -> None:
    """Write somebody a link to a new password, or one that signs in.

    Silent for an address that signs nobody in, and when it got enough this hour. The same is done for those, to the last
    query and the flush of a commit, and then taken back: whoever asks learns nothing from the time either.
    """
    user = find_person(email) or User(pk=0, email=email)
    with transaction.atomic():
        # The lock makes "how many this hour" one question at a time.
        locked = User.objects.select_for_update().filter(pk=user.pk).first()
        since = timezone.now() - datetime.timedelta(hours=1)
        asked = SystemEmail.objects.filter(to=user.email, purpose__in=ASKED_FOR, created_at__gt=since)
        is_sent = asked.count() < MOST_AN_HOUR and locked is not None
        try:
            with transaction.atomic():
                _write(locked or user, way)
                if not is_sent:
                    raise _NobodyGetsIt  # noqa: TRY301 - ends the block that it takes back
        except _NobodyGetsIt:
            enqueue(system_emails.TASK)


def _write(user: User, way: Literal["password", "sign_in"]) -> None:
    if way == "sign_in":
        purpose = SystemEmailPurpose.SIGN_IN_LINK
        letter = sign_in_letter(user, path=create_sign_in_link(user=user))
    else:
        purpose = SystemEmailPurpose.PASSWORD_RESET
        letter = new_password_letter(user, path=_path(user), minutes=settings.PASSWORD_RESET_TIMEOUT // 60)
    system_emails.queue(purpose=purpose, to=user.email, letter=letter, useful_for=USEFUL_FOR)


def find_by_reset_link(*, uid: str, token: str) -> User:
    """Whom a link to a new password is for. Raises NotFound for one that is unknown, used, or older than an hour.

    Django's token: keyed, and bound to the present password and the last sign-in, so that either makes it void.
    """
    try:
        user = User.objects.filter(pk=urlsafe_base64_decode(uid).decode(), is_active=True).first()
    except (ValueError, OverflowError):
        user = None
    if user is None or not default_token_generator.check_token(user, token):
        raise NotFound(_("This link has been used already, or is older than an hour."))
    return user


def reset_password(*, uid: str, token: str, password: str) -> User:
    """Set a new password by a link, once: the lock makes the second of two find the link used. Raises NotFound."""
    with transaction.atomic():
        user = find_by_reset_link(uid=uid, token=token)
        User.objects.select_for_update().get(pk=user.pk)
        user = find_by_reset_link(uid=uid, token=token)
        change_password(user=user, password=password)
    return user


def change_password(*, user: User, password: str) -> None:
    """Set a password that was validated. Every session ends, links that sign in open nothing, and a notice goes out."""
    with transaction.atomic():
        user.set_password(password)  # sessions carry a digest of it
        user.save(update_fields=["password"])
        SignInLink.objects.filter(user=user, used_at=None).delete()
        if system_emails.has_way_out():
            system_emails.queue(
                purpose=SystemEmailPurpose.PASSWORD_CHANGED,
                to=user.email,
                letter=password_changed_letter(user),
                useful_for=NOTICE_USEFUL_FOR,
            )


def _path(user: User) -> str:
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("password_new", args=[uid, default_token_generator.make_token(user)])
