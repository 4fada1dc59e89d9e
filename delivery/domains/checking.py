"""Looking all records of a domain up at once. What is found is kept as data and judged when somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from delivery.domains import spf
from delivery.domains.lookup import Answer, Lookups, Question, Resolver, State
from delivery.domains.names import domains_above
from delivery.domains.wanted import Purpose, Record

Json = dict[str, Any]

MOST_KEPT: Final = 8
_NOTHING = Answer(State.NOTHING)


@dataclass(frozen=True, slots=True)
class Findings:
    """What DNS said. spf: the judged record by the name it stands at."""

    answers: dict[Question, Answer] = field(default_factory=dict)
    spf: dict[str, spf.Spf] = field(default_factory=dict)

    def of(self, name: str, kind: str) -> Answer:
        """The answer to a question; NOTHING to one that was not asked."""
        return self.answers.get(Question(name, kind), _NOTHING)

    def as_json(self) -> Json:
        """As what JSON can hold."""
        answers = [[*question, answer.state, list(answer.values)] for question, answer in self.answers.items()]
        return {"answers": sorted(answers), "spf": {name: list(judged) for name, judged in self.spf.items()}}


def findings_from(document: Json) -> Findings:
    """What `as_json` wrote."""
    return Findings(
        {
            Question(name, kind): Answer(State(state), tuple(values))
            for name, kind, state, values in document.get("answers", ())
        },
        {name: spf.Spf(*judged) for name, judged in document.get("spf", {}).items()},
    )


def look_up(domain: str, records: Sequence[Record], resolver: Resolver, *, seconds: float = 10.0) -> Findings:
    """Ask everything about a domain's records within so many seconds, and a little for threads to end."""
    lookups = Lookups(resolver, seconds=seconds)
    lookups.ask_all(question for record in records for question in _questions(domain, record))
    judged = {}
    for record in records:
        if record.purpose in (Purpose.SPF, Purpose.MAIL_FROM_SPF):
            found = spf.judge(lookups.ask(record.name, "TXT").values, lambda name: lookups.ask(name, "TXT"))
            if found is not None:
                judged[record.name] = found
    asked = {question for record in records for question in _questions(domain, record)}
    return Findings({question: _worth_keeping(lookups.answers[question]) for question in asked}, judged)


def _worth_keeping(answer: Answer) -> Answer:
    """A domain's own texts are full of other services' tokens: what looks like a policy goes first, the rest is few."""
    ordered = sorted(answer.values, key=lambda value: not value.lower().startswith("v="))
    return Answer(answer.state, tuple(ordered[:MOST_KEPT]))


def _questions(domain: str, record: Record) -> list[Question]:
    """What is to be asked about one record.

    Providers that flatten CNAMEs answer with what stands at their target, so both ends are asked for the key, too.
    """
    if record.purpose is Purpose.DKIM:
        return [Question(record.name, "CNAME"), Question(record.name, "TXT"), Question(record.value, "TXT")]
    if record.purpose is Purpose.DMARC:
        return [Question(f"_dmarc.{name}", "TXT") for name in (domain, *domains_above(domain))]
    if record.purpose is Purpose.TRACKING:
        return [Question(record.name, "CNAME"), Question(record.name, "A"), Question(record.value, "A")]
    if record.purpose is Purpose.LINKS:
        return [Question(record.name, "A"), Question(record.name, "AAAA")]
    return [Question(record.name, record.kind)]
