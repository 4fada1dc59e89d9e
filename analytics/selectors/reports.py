"""The report of a mailout, read from roll-ups alone: the same small queries for ten people or ten million.

Rates are of people, and their base is who got the email: delivered, not sent (C = clicked people / delivered). What
machines opened or clicked stands beside, in numbers of its own, and in no rate. Roll-ups are independent sums: nothing
here is counted over a join.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from delivery.models import CompiledEmail, EventType, Mailout, MailoutEmail, StatDomain, StatEmail, StatHour, StatLink
from delivery.selectors.progress import Account, mailout_account
from subscribers.models import Domain

TOP_DOMAINS = 12


@dataclass(slots=True)
class Tally:
    """What became of some messages. People unless the name says otherwise.

    delivered excludes who bounced after all. opens and clicks are totals, machines included; machine_opened and
    machine_clicked are messages that only machines opened or clicked.
    """

    delivered: int = 0
    bounced: int = 0
    soft_bounced: int = 0
    rejected: int = 0
    complained: int = 0
    unsubscribed: int = 0
    opened: int = 0
    clicked: int = 0
    machine_opened: int = 0
    machine_clicked: int = 0
    opens: int = 0
    clicks: int = 0

    @property
    def open_rate(self) -> float | None:
        return rate(self.opened, self.delivered)

    @property
    def click_rate(self) -> float | None:
        return rate(self.clicked, self.delivered)

    @property
    def unsubscribe_rate(self) -> float | None:
        return rate(self.unsubscribed, self.delivered)

    @property
    def complaint_rate(self) -> float | None:
        return rate(self.complained, self.delivered)


@dataclass(frozen=True, slots=True)
class HourTally:
    """One hour of a mailout, UTC; numbers of people, and of machines beside them."""

    hour: datetime
    tally: Tally


@dataclass(frozen=True, slots=True)
class DomainTally:
    """One mail domain; "" sums up the rest."""

    domain: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class LinkTally:
    """One link of one email."""

    email_no: int
    link_no: int
    url: str
    label: str
    clicks: int
    clicked: int  # people
    machine_clicked: int


@dataclass(frozen=True, slots=True)
class Report:
    """account says what we did with the candidates, tally what became of what was sent.

    sent = the account's sent messages. waiting_for_news: sent, and neither delivered nor bounced so far.
    """

    mailout_id: int
    account: Account
    sent: int
    tally: Tally
    by_email: dict[int, Tally] = field(default_factory=dict)
    by_hour: list[HourTally] = field(default_factory=list)
    by_domain: list[DomainTally] = field(default_factory=list)
    by_link: list[LinkTally] = field(default_factory=list)

    @property
    def bounce_rate(self) -> float | None:
        """Hard bounces of what was sent: Amazon's own definition, so that its limits apply."""
        return rate(self.tally.bounced, self.sent)

    @property
    def waiting_for_news(self) -> int:
        return max(0, self.sent - self.tally.delivered - self.tally.bounced)


def rate(part: int, base: int) -> float | None:
    """Share between 0 and 1; None where there is no base, which is shown as a dash."""
    return min(1.0, part / base) if base > 0 else None


def read_report(mailout: Mailout) -> Report:
    """Read the whole report."""
    by_email: dict[int, Tally] = {}
    everything = Tally()
    rows = StatEmail.objects.filter(mailout_id=mailout.pk).values_list(
        "email_no", "type", "total", "uniq", "uniq_human"
    )
    for email_no, type_, total, uniq, human in rows:
        _add(by_email.setdefault(email_no, Tally()), type_, total, uniq, human)
        _add(everything, type_, total, uniq, human)
    account = mailout_account(mailout)
    return Report(
        mailout_id=mailout.pk,
        account=account,
        sent=account.states["sent"],
        tally=everything,
        by_email=by_email,
        by_hour=_by_hour(mailout),
        by_domain=_by_domain(mailout),
        by_link=_by_link(mailout),
    )


def read_tallies(mailout_ids: Iterable[int]) -> dict[int, Tally]:
    """Totals of several mailouts in one query, for lists and for averages."""
    ids = list(mailout_ids)
    found = {mailout_id: Tally() for mailout_id in ids}
    rows = StatEmail.objects.filter(mailout_id__in=ids).values_list("mailout_id", "type", "total", "uniq", "uniq_human")
    for mailout_id, type_, total, uniq, human in rows:
        _add(found[mailout_id], type_, total, uniq, human)
    return found


_PLAIN = {
    EventType.DELIVERED.value: "delivered",
    EventType.BOUNCED.value: "bounced",
    EventType.SOFT_BOUNCED.value: "soft_bounced",
    EventType.REJECTED.value: "rejected",
    EventType.COMPLAINED.value: "complained",
    EventType.UNSUBSCRIBED.value: "unsubscribed",
}


def _add(tally: Tally, type_: int, total: int, uniq: int, human: int) -> None:
    name = _PLAIN.get(type_)
    if name is not None:
        setattr(tally, name, getattr(tally, name) + uniq)
    elif type_ == EventType.OPENED:
        tally.opened += human
        tally.machine_opened += uniq - human
        tally.opens += total
    elif type_ == EventType.CLICKED:
        tally.clicked += human
        tally.machine_clicked += uniq - human
        tally.clicks += total


def _by_hour(mailout: Mailout) -> list[HourTally]:
    hours: dict[datetime, Tally] = {}
    rows = StatHour.objects.filter(mailout_id=mailout.pk).values_list("hour", "type", "total", "uniq", "uniq_human")
    for hour, type_, total, uniq, human in rows.order_by("hour"):
        _add(hours.setdefault(hour, Tally()), type_, total, uniq, human)
    return [HourTally(hour, tally) for hour, tally in hours.items()]


def _by_domain(mailout: Mailout) -> list[DomainTally]:
    """The largest domains by name, the rest together."""
    tallies: dict[int, Tally] = {}
    rows = StatDomain.objects.filter(mailout_id=mailout.pk).values_list(
        "domain_id", "type", "total", "uniq", "uniq_human"
    )
    sizes: dict[int, int] = {}
    for domain_id, type_, total, uniq, human in rows:
        _add(tallies.setdefault(domain_id, Tally()), type_, total, uniq, human)
        if type_ in (EventType.DELIVERED, EventType.BOUNCED):
            sizes[domain_id] = sizes.get(domain_id, 0) + uniq
    largest = sorted(tallies, key=lambda domain_id: (-sizes.get(domain_id, 0), domain_id))
    shown = [domain_id for domain_id in largest if domain_id][:TOP_DOMAINS]
    names = dict(Domain.objects.filter(pk__in=shown).values_list("id", "name"))
    made = [DomainTally(names.get(domain_id, ""), tallies[domain_id]) for domain_id in shown]
    rest = [tallies[domain_id] for domain_id in largest if domain_id not in shown]
    return [*made, DomainTally("", _sum(rest))] if rest else made


def _sum(tallies: list[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        for name in Tally.__dataclass_fields__:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
    return total


def _by_link(mailout: Mailout) -> list[LinkTally]:
    """Every link of every email, also those that nobody clicked, in the order of the email."""
    counts = {
        (email_no, link_no): (total, uniq, human)
        for email_no, link_no, total, uniq, human in StatLink.objects.filter(mailout_id=mailout.pk).values_list(
            "email_no", "link_no", "total", "uniq", "uniq_human"
        )
    }
    emails = dict(
        MailoutEmail.objects.filter(mailout_id=mailout.pk)
        .order_by("email_no")
        .values_list("email_no", "compiled_email_id")
    )
    links = dict(CompiledEmail.objects.filter(pk__in=emails.values()).values_list("id", "links"))
    made = []
    for email_no, compiled_id in emails.items():
        for link in links.get(compiled_id, []):
            total, uniq, human = counts.get((email_no, link["no"]), (0, 0, 0))
            made.append(LinkTally(email_no, link["no"], link["url"], link["label"], total, human, uniq - human))
    return made
