"""One message over an open connection, and how far it came.

smtplib.sendmail hides the moment that decides everything here: before the message's last byte is in the socket's hands,
nothing can have been sent; after it only a reply tells. Where the server allows pipelining (RFC 2920), the envelope goes
out in one piece: two round trips for a message instead of four.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Sequence

from delivery.providers.smtp.replies import DATA, END, MAIL, RCPT, Reply

GO_ON = 354
CLOSING = 421


class NotHandedOverError(Exception):
    """The connection ended, or said nothing, before the server had the whole message."""


class AnswerLostError(Exception):
    """The server has the whole message, and its reply never came."""


def hand_over(
    connection: smtplib.SMTP,
    *,
    sender: str,
    recipient: str,
    pieces: Sequence[bytes],
    size: int,
    limit_wait: Callable[[], None],
) -> Reply:
    """Send one message; the last reply, or the first that is a refusal. limit_wait: sets the socket's time-out anew.

    Raises NotHandedOverError and AnswerLostError; the connection is of no use then.
    """
    try:
        refusal = _envelope(connection, sender, recipient, size, limit_wait)
        if refusal is not None:
            return refusal
        limit_wait()
        # The end of the data belongs to this one write: what raises here has not put its last byte out.
        connection.send(b"".join((*pieces, b".\r\n")))
    except (OSError, smtplib.SMTPException) as error:
        raise NotHandedOverError(_reason(error)) from error
    try:
        limit_wait()
        return _reply(connection, END)
    except (OSError, smtplib.SMTPException) as error:
        raise AnswerLostError(_reason(error)) from error


def forget(connection: smtplib.SMTP) -> bool:
    """After a refusal make the connection ready for another message; whether it is."""
    try:
        return connection.rset()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def _envelope(
    connection: smtplib.SMTP, sender: str, recipient: str, size: int, limit_wait: Callable[[], None]
) -> Reply | None:
    """Sender, recipient and the word that data follows; the refusal, or None when the server waits for the data."""
    told = f" SIZE={size}" if connection.has_extn("size") else ""
    commands = [(MAIL, f"MAIL FROM:<{sender}>{told}\r\n"), (RCPT, f"RCPT TO:<{recipient}>\r\n"), (DATA, "DATA\r\n")]
    limit_wait()
    if not connection.has_extn("pipelining"):
        for step, command in commands:
            connection.send(command)
            reply = _reply(connection, step)
            if not _is_yes(reply):
                return reply
        return None
    connection.send("".join([command for _, command in commands]))
    replies = [_reply(connection, step) for step, _ in commands]
    refusal = next((reply for reply in replies if not _is_yes(reply)), None)
    if refusal is not None and replies[-1].code == GO_ON:
        # It waits for data although it took no recipient: RFC 2920 §3.1 has the client send none.
        connection.send(b".\r\n")
        connection.getreply()
    return refusal


def _is_yes(reply: Reply) -> bool:
    return reply.code == GO_ON if reply.step == DATA else 200 <= reply.code < 300


def _reply(connection: smtplib.SMTP, step: str) -> Reply:
    code, text = connection.getreply()
    return Reply(step, code, text.decode("utf-8", "replace"))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "timed out"
    return str(error) or type(error).__name__
