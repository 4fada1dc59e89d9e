"""What a worker keeps of the emails it is sending, per process and bounded."""

from __future__ import annotations

from collections import OrderedDict

from django.conf import settings

from delivery.compiling import Program
from delivery.engine.calls import EngineEmail, quoted_mailbox
from delivery.engine.database import Connection
from delivery.providers.base import OutgoingEmail, Provider
from delivery.tokens import sign_remainder

CACHED_EMAILS = 16

_LOAD = """
SELECT c.payload, m.sender, m.reply_to, m.list_label, m.organization_id, m.kind, COALESCE(a.configuration_set, ''), m.list_ids
  FROM delivery_mailout m
  JOIN delivery_mailout_email e ON e.mailout_id = m.id AND e.email_no = %(email_no)s
  JOIN delivery_compiledemail c ON c.id = e.compiled_email_id
  LEFT JOIN delivery_sendingaccount a ON a.id = m.account_id
 WHERE m.id = %(mailout)s
"""


def constant_headers(
    *, mailout_id: int, organization_id: int, kind: str, list_label: str, list_ids: list[int]
) -> tuple[tuple[str, str], ...]:
    """Headers that all recipients share: RFC 8058, RFC 2919 and Gmail's Feedback-ID."""
    host = settings.PUBLIC_URL.partition("://")[2].partition("/")[0].partition(":")[0]
    headers = [
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Feedback-ID", f"{mailout_id}:{organization_id}:{kind}:amazonsender"),
    ]
    if list_ids:
        label = f"{list_label} " if list_label else ""
        headers.append(("List-Id", f"{label}<list-{min(list_ids)}.{organization_id}.{host}>"))
    return tuple(headers)


class EmailCache:
    """Compiled emails by (mailout, email number), the program parsed and the provider's constant parts encoded."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._emails: OrderedDict[tuple[int, int], EngineEmail] = OrderedDict()

    def get(self, connection: Connection, mailout_id: int, email_no: int) -> EngineEmail:
        """Raises PermanentError when the provider can't carry this email at all."""
        key = (mailout_id, email_no)
        email = self._emails.get(key)
        if email is None:
            email = self._emails[key] = self._load(connection, mailout_id, email_no)
            if len(self._emails) > CACHED_EMAILS:
                self._emails.popitem(last=False)
        else:
            self._emails.move_to_end(key)
        return email

    def _load(self, connection: Connection, mailout_id: int, email_no: int) -> EngineEmail:
        row = connection.execute(_LOAD, {"mailout": mailout_id, "email_no": email_no}).fetchone()
        if row is None:
            raise LookupError(f"mailout {mailout_id} has no email {email_no}")
        payload, sender, reply_to, list_label, organization_id, kind, configuration_set, list_ids = row
        program = Program.load(payload, sign_remainder=sign_remainder)
        outgoing = OutgoingEmail(
            sender=sender,
            reply_to=(reply_to,) if reply_to else (),
            subject=program.ses_subject,
            html=program.ses_html,
            text=program.ses_text,
            headers=constant_headers(
                mailout_id=mailout_id,
                organization_id=organization_id,
                kind=kind,
                list_label=list_label,
                list_ids=list_ids,
            ),
            configuration_set=configuration_set,
            segments=program.segments,
        )
        mailbox = reply_to or sender
        address = mailbox.rpartition("<")[2].rstrip(">") if "<" in mailbox else mailbox
        return EngineEmail(program, self._provider.prepare(outgoing), settings.PUBLIC_URL, quoted_mailbox(address))
