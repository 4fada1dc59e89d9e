"""What a page says of a domain's SPF and DMARC records, which speak for all of its mail, not for Amazon's alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from delivery.domains import dmarc
from delivery.domains.checking import Findings
from delivery.domains.dmarc import Dmarc, DmarcError, is_aligned
from delivery.domains.lookup import Answer, State
from delivery.domains.names import domains_above
from delivery.domains.spf import Trouble
from delivery.domains.wanted import Identity
from delivery.services.points import NOTE, OK, STOP
from delivery.services.record_rows import DIFFERS, FOUND, MISSING, RecordRow, unknown_row

SPF_TROUBLES: Final = {
    Trouble.SEVERAL: (
        gettext_lazy("There are several SPF records, and of several none counts."),
        gettext_lazy("Merge them into one that begins with v=spf1 and ends with its “all”."),
    ),
    Trouble.SYNTAX: (
        gettext_lazy("“%(culprit)s” is nothing that SPF knows, so that the whole record is ignored."),
        gettext_lazy("Correct or remove that part."),
    ),
    Trouble.TOO_MANY: (
        gettext_lazy("Following it takes more than the ten look-ups that SPF allows, so that it fails."),
        gettext_lazy("Remove includes of services that you no longer use, or write their networks as ip4: and ip6:."),
    ),
    Trouble.LOST: (
        gettext_lazy("It includes %(culprit)s, which has no SPF record, so that the whole record fails."),
        gettext_lazy("Remove that include, or correct its name."),
    ),
}


def spf_row(row: RecordRow, findings: Findings) -> RecordRow:
    """SPF of the domain itself."""
    answer = findings.of(row.name, "TXT")
    if answer.state not in (State.FOUND, State.NOTHING):
        return unknown_row(row, answer)
    judged = findings.spf.get(row.name)
    if judged is None:
        return replace(row, state=FOUND, said=_("None is there, and Amazon’s mail needs none."))
    if judged.trouble == Trouble.UNKNOWN:
        said = _("What it includes could not be looked up: %(culprit)s.") % {"culprit": judged.culprit}
        return replace(unknown_row(row, Answer(State.LATE)), said=said)
    if judged.trouble:
        trouble, step = SPF_TROUBLES[Trouble(judged.trouble)]
        found = tuple(value for value in answer.values if value.lower().startswith("v=spf1"))
        return replace(
            row, state=DIFFERS, tone=NOTE, said=trouble % {"culprit": judged.culprit}, found=found, step=str(step)
        )
    if judged.all == "+":
        said = _("“+all” lets everybody in the world send in your name.")
        return replace(
            row, state=DIFFERS, tone=NOTE, said=said, found=(judged.record,), step=_("Write “~all” in its place.")
        )
    said = ngettext("One record, %(n)s look-up of ten.", "One record, %(n)s look-ups of ten.", judged.lookups)
    return replace(row, state=FOUND, said=said % {"n": judged.lookups})


def dmarc_row(row: RecordRow, domain: str, identity: Identity, findings: Findings) -> RecordRow:
    """DMARC: the domain's own record, else the nearest above it."""
    for name in (domain, *domains_above(domain)):
        answer = findings.of(f"_dmarc.{name}", "TXT")
        if answer.state not in (State.FOUND, State.NOTHING):
            return unknown_row(row, answer)
        records = dmarc.records_of(answer.values)
        if len(records) > 1:
            step = _("Leave one DMARC record: of several none counts.")
            return replace(row, state=DIFFERS, tone=NOTE, found=tuple(records), step=step)
        if records:
            return _read(row, records[0], domain, name, identity)
    own = findings.of(f"_dmarc.{domain}", "TXT")
    if own.values:
        step = _("Put the value above in the place of what is there.")
        return replace(row, state=DIFFERS, tone=NOTE, found=own.values, step=step)
    step = _("Add it: it only watches. Reports go to the address in it; leave “rua” out if nobody reads them.")
    return replace(row, state=MISSING, tone=NOTE, step=step)


def _read(row: RecordRow, record: str, domain: str, name: str, identity: Identity) -> RecordRow:
    try:
        policy = dmarc.parse(record, is_above=name != domain)
    except DmarcError as error:
        said = _("Its part “%(tag)s” says none of none, quarantine and reject, so that it is ignored.")
        step = _("Begin with the value above, which only watches.")
        return replace(row, state=DIFFERS, tone=NOTE, said=said % {"tag": error}, found=(record,), step=step)
    said = _("p=%(policy)s.") % {"policy": policy.policy}
    if name != domain:
        said = _("p=%(policy)s, by the record of %(name)s.") % {"policy": policy.policy, "name": name}
    return _aligned(replace(row, state=FOUND, found=(record,), said=said), policy, domain, identity)


def _aligned(row: RecordRow, policy: Dmarc, domain: str, identity: Identity) -> RecordRow:
    """DMARC passes when SPF or DKIM passes for a domain that is aligned with the sender's."""
    by_dkim = (
        identity.dkim_status == "SUCCESS"
        and identity.is_signing
        and is_aligned(domain, identity.name, owner=identity.name, is_strict=policy.is_dkim_strict)
    )
    by_spf = (
        identity.mail_from_status == "SUCCESS"
        and bool(identity.mail_from_domain)
        and is_aligned(domain, identity.mail_from_domain, owner=identity.name, is_strict=policy.is_spf_strict)
    )
    if by_dkim or by_spf:
        by = _("DKIM and SPF") if by_dkim and by_spf else _("DKIM") if by_dkim else _("SPF")
        said = _("%(policy)s Your mail passes by %(by)s.") % {"policy": row.said, "by": by}
        step = _("When its reports are clean for some weeks, quarantine and later reject keep forgers out.")
        return replace(row, tone=OK, said=said, step=step if policy.policy == "none" else "")
    said = _("%(policy)s Your mail doesn’t pass: neither DKIM nor SPF is of this domain.") % {"policy": row.said}
    if policy.policy == "none":
        return replace(row, tone=NOTE, said=said, step=_("Set DKIM up first, by the records above."))
    step = _("Set DKIM up by the records above, or go back to p=none until it is: mailboxes refuse your mail.")
    return replace(row, tone=STOP, said=said, step=step)
