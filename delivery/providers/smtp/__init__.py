"""Any mail server that takes mail for others (a submission service or relay, RFC 6409) through Django's SMTP backend."""

from delivery.providers.smtp.provider import SmtpProvider

__all__ = ["SmtpProvider"]
