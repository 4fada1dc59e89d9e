"""What a page says of each DNS record of a sending domain: whether it is there, why it matters, how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from delivery.domains.checking import Findings, findings_from
from delivery.domains.lookup import Answer, State
from delivery.domains.spf import Trouble
from delivery.domains.wanted import Identity, Purpose, Record
from delivery.models import SendingAccount, SendingDomain
from delivery.services.domain_policies import dmarc_row, spf_row
from delivery.services.domains import identity_from, may_look_up, records_for
from delivery.services.points import NOTE, OK, STOP
from delivery.services.record_rows import DIFFERS, FOUND, MISSING, SKIPPED, UNLOOKED, RecordRow, unknown_row

LABELS: Final = {
    Purpose.DKIM: gettext_lazy("DKIM"),
    Purpose.OWN_DKIM: gettext_lazy("DKIM, your own key"),
    Purpose.MAIL_FROM_MX: gettext_lazy("MAIL FROM"),
    Purpose.MAIL_FROM_SPF: gettext_lazy("SPF of MAIL FROM"),
    Purpose.SPF: gettext_lazy("SPF of the domain"),
    Purpose.DMARC: gettext_lazy("DMARC"),
    Purpose.TRACKING: gettext_lazy("Amazon’s tracked links"),
    Purpose.LINKS: gettext_lazy("Links of your emails"),
}
WHY: Final = {
    Purpose.DKIM: gettext_lazy(
        "The signature by which mailboxes know that mail is yours. Gmail’s and Yahoo’s one-click unsubscribe needs it."
    ),
    Purpose.MAIL_FROM_MX: gettext_lazy(
        "Bounces go to this name. Below your own domain, it makes SPF speak for you rather than for Amazon."
    ),
    Purpose.MAIL_FROM_SPF: gettext_lazy("Mailboxes ask for SPF where bounces go: it lets Amazon send for this name."),
    Purpose.SPF: gettext_lazy(
        "Amazon’s mail is judged by the SPF of MAIL FROM, so that none is needed here; but one that is here must be sound."
    ),
    Purpose.DMARC: gettext_lazy(
        "Gmail, Yahoo and Microsoft want it of everybody who mails many people, with SPF or DKIM of the same domain."
    ),
    Purpose.TRACKING: gettext_lazy(
        "Amazon leads readers through this name where its own open and click tracking is on."
    ),
    Purpose.LINKS: gettext_lazy("Every link, picture and unsubscribe in your emails leads to this name."),
}


@dataclass(frozen=True)
class DomainReport:
    """A domain's rows. trouble: why Amazon's part is not known or missing; step: how to mend that.

    is_pressing: the trouble is one, which it isn't where mail reaches nobody.
    """

    rows: list[RecordRow]
    trouble: str = ""
    step: str = ""
    is_pressing: bool = True

    @property
    def tone(self) -> str:
        """The worst of the rows and the trouble."""
        tones = {row.tone for row in self.rows} | ({NOTE} if self.trouble and self.is_pressing else set())
        return next((tone for tone in (STOP, NOTE) if tone in tones), OK)

    @property
    def to_mend(self) -> int:
        """How many records; the trouble beside them is told by itself."""
        return sum(row.tone in (STOP, NOTE) for row in self.rows)


def report_of(domain: SendingDomain, account: SendingAccount) -> DomainReport:
    """Judge what was found of a domain."""
    identity = identity_from(domain.identity)
    findings = findings_from(domain.findings)
    is_looked_up = may_look_up(account, domain.name)
    rows: list[RecordRow] = []
    for record in records_for(account, domain.name, domain.identity):
        number = sum(row.purpose == record.purpose for row in rows) + 1
        row = RecordRow(
            purpose=record.purpose,
            label=f"{LABELS[record.purpose]} {number}"
            if record.purpose is Purpose.DKIM
            else str(LABELS[record.purpose]),
            name=record.name,
            kind=record.kind,
            value=record.value,
            why=str(WHY[Purpose.DKIM if record.purpose is Purpose.OWN_DKIM else record.purpose]),
        )
        if not is_looked_up:
            row = replace(row, state=SKIPPED, tone=OK)
        elif not domain.findings:
            row = replace(row, state=UNLOOKED, tone=OK)
        else:
            row = _judged(row, record, domain.name, identity, findings)
        rows.append(row)
    trouble, step = _trouble(domain, identity)
    return DomainReport(rows, trouble, step, is_pressing=not account.is_local)


def _trouble(domain: SendingDomain, identity: Identity) -> tuple[str, str]:
    state = domain.identity.get("state", "")
    if state == "missing":
        return (
            _("Amazon doesn’t know this domain"),
            _("Register it: “Set it up for me” does, or Create identity in the Amazon SES console. Then check again."),
        )
    if state == "denied":
        return (
            _("The keys may not look"),
            _("Allow them %(action)s in IAM, then check again.") % {"action": domain.identity["action"]},
        )
    if state == "failed":
        return _("Amazon did not tell about this domain"), domain.identity["error"]
    if state and identity.dkim_status == "FAILED":
        return (
            _("Amazon has given up looking for the DKIM records"),
            _(
                "Publish the records below. Then open the identity in the Amazon SES console, edit its DKIM settings and "
                "save them as they are: that makes Amazon look again."
            ),
        )
    if state and not identity.is_verified:
        return _("Amazon has not verified it yet"), _("It does by itself when it sees the DKIM records below.")
    if state and identity.dkim_tokens and not identity.is_signing:
        return (
            _("Amazon doesn’t sign mail of this domain"),
            _("Switch DKIM signatures on for the identity in the Amazon SES console."),
        )
    return "", ""


def _judged(row: RecordRow, record: Record, domain: str, identity: Identity, findings: Findings) -> RecordRow:
    if record.purpose is Purpose.DMARC:
        return dmarc_row(row, domain, identity, findings)
    if record.purpose is Purpose.SPF:
        return spf_row(row, findings)
    return _JUDGES[record.purpose](row, identity, findings)


def _missing(row: RecordRow, tone: str) -> RecordRow:
    step = _("Add it where the DNS of your domain is kept. It is seen within minutes, rarely hours.")
    return replace(row, state=MISSING, tone=tone, step=step)


def _differs(row: RecordRow, tone: str, found: Answer, step: str = "") -> RecordRow:
    step = step or _("Put the value above in the place of what is there.")
    return replace(row, state=DIFFERS, tone=tone, found=found.values, step=step)


def _dkim(row: RecordRow, identity: Identity, findings: Findings) -> RecordRow:
    tone = NOTE if identity.is_verified and identity.dkim_status == "SUCCESS" else STOP
    answer = findings.of(row.name, "CNAME")
    if answer.state is State.FOUND:
        return replace(row, state=FOUND) if answer.values == (row.value.lower(),) else _differs(row, tone, answer)
    if answer.state is not State.NOTHING:
        return unknown_row(row, answer)
    key, target = findings.of(row.name, "TXT"), findings.of(row.value, "TXT")
    if key.state is not State.FOUND:
        return _missing(row, tone) if key.state is State.NOTHING else unknown_row(row, key)
    if set(key.values) & set(target.values):
        said = _("Your DNS provider answers with the key that stands behind the CNAME. That works, too.")
        return replace(row, state=FOUND, said=said)
    return _differs(row, tone, key)


def _own_dkim(row: RecordRow, identity: Identity, findings: Findings) -> RecordRow:
    tone = NOTE if identity.is_verified and identity.dkim_status == "SUCCESS" else STOP
    answer = findings.of(row.name, "TXT")
    if answer.state is State.FOUND:
        if any(_has_key(value) for value in answer.values):
            return replace(
                row, state=FOUND, said=_("A key is there. Whether it is the right one, only Amazon can tell.")
            )
        return _differs(row, tone, answer, _("Publish the public key whose private part you gave to Amazon."))
    if answer.state is State.NOTHING:
        return replace(_missing(row, tone), step=_("Publish the public key whose private part you gave to Amazon."))
    return unknown_row(row, answer)


def _has_key(record: str) -> bool:
    tags = dict(part.strip().partition("=")[::2] for part in record.split(";"))
    return bool(tags.get("p", "").strip())


def _mail_from(row: RecordRow, identity: Identity, findings: Findings) -> RecordRow:
    if not identity.mail_from_domain:
        step = _("Tell Amazon this name first: “Set it up for me” does, or Custom MAIL FROM domain of the identity.")
        return replace(row, state=MISSING, tone=NOTE, said=_("Amazon’s own name is used."), step=step)
    # Amazon refuses to send only where it was told to; else its own name stands in.
    tone = STOP if identity.on_mx_failure == "REJECT_MESSAGE" else NOTE
    answer = findings.of(row.name, "MX")
    if answer.state is State.NOTHING:
        return _missing(row, tone)
    if answer.state is not State.FOUND:
        return unknown_row(row, answer)
    hosts = [value.partition(" ")[2] for value in answer.values]
    wanted = row.value.partition(" ")[2]
    if hosts == [wanted]:
        if identity.mail_from_status == "FAILED":
            step = _("Open the identity in the Amazon SES console and save its Custom MAIL FROM domain once more.")
            return replace(row, state=FOUND, tone=tone, said=_("Amazon has given up looking for it."), step=step)
        return replace(row, state=FOUND)
    if wanted in hosts:
        return _differs(
            row, tone, answer, _("Take the other MX records away: Amazon wants its own to be the only one.")
        )
    return _differs(row, tone, answer)


def _mail_from_spf(row: RecordRow, identity: Identity, findings: Findings) -> RecordRow:
    answer = findings.of(row.name, "TXT")
    if answer.state not in (State.FOUND, State.NOTHING):
        return unknown_row(row, answer)
    judged = findings.spf.get(row.name)
    if judged is None:
        return _missing(row, NOTE)
    if judged.trouble == Trouble.SEVERAL:
        return _differs(row, NOTE, answer, _("Leave one SPF record: of several none counts."))
    if judged.allows_amazon and judged.trouble in (Trouble.NONE, Trouble.UNKNOWN):
        return replace(row, state=FOUND)
    return _differs(row, NOTE, answer)


def _tracking(row: RecordRow, identity: Identity, findings: Findings) -> RecordRow:
    answer = findings.of(row.name, "CNAME")
    elsewhere = _("Let it lead to the value above. Where a service before Amazon adds https, all is well.")
    if answer.state is State.FOUND:
        return replace(row, state=FOUND) if answer.values == (row.value,) else _differs(row, NOTE, answer, elsewhere)
    if answer.state is not State.NOTHING:
        return unknown_row(row, answer)
    address, target = findings.of(row.name, "A"), findings.of(row.value, "A")
    if address.state is State.FOUND:
        is_same = bool(set(address.values) & set(target.values))
        return replace(row, state=FOUND) if is_same else _differs(row, NOTE, address, elsewhere)
    return _missing(row, STOP) if address.state is State.NOTHING else unknown_row(row, address)


def _links(row: RecordRow, identity: Identity, findings: Findings) -> RecordRow:
    answers = [findings.of(row.name, kind) for kind in ("A", "AAAA")]
    addresses = tuple(value for answer in answers for value in answer.values)
    if addresses:
        return replace(row, state=FOUND, said=_("It leads to %(addresses)s.") % {"addresses": ", ".join(addresses)})
    unanswered = [answer for answer in answers if answer.state in (State.FAILED, State.LATE)]
    if unanswered:
        return unknown_row(row, unanswered[0])
    step = _("Add an A record with the address of this server, or a CNAME: PUBLIC_URL names it.")
    return replace(row, state=MISSING, tone=STOP, step=step)


_JUDGES: Final[dict[Purpose, Callable[[RecordRow, Identity, Findings], RecordRow]]] = {
    Purpose.DKIM: _dkim,
    Purpose.OWN_DKIM: _own_dkim,
    Purpose.MAIL_FROM_MX: _mail_from,
    Purpose.MAIL_FROM_SPF: _mail_from_spf,
    Purpose.TRACKING: _tracking,
    Purpose.LINKS: _links,
}
