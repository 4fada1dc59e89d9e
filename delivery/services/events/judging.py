"""Person or machine: the verdict on an open or a click.

Rules, each decidable from the message's own events, so that their order of arrival makes no difference:

1. Apple's Mail Privacy Protection calls itself exactly `Mozilla/5.0` and loads every picture ahead: machine.
2. No user agent, or one that names a program, a security gateway or a link preview: machine.
3. Three different links of a message within five seconds: a scanner. All clicks of that burst are a machine's, and so
   are opens within five seconds of it from the same agent or network.
4. Everything else is a person. Gmail's and Yahoo's picture proxies load when somebody looks, so they count as people.

HEAD requests are not recorded at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from delivery.models import EventType, Verdict

BURST = timedelta(seconds=5)
BURST_LINKS = 3

_PRIVACY_PROXY = "Mozilla/5.0"
_PERSON = re.compile(r"GoogleImageProxy|YahooMailProxy")
_MACHINE = re.compile(
    r"(?<!cu)bot\b|crawl|spider|scan|preview|python-|curl/|wget|go-http-client|headless|phantomjs|okhttp|libwww|axios"
    r"|node-fetch|httpclient|java/|barracuda|proofpoint|mimecast|safelink|urldefense|trendmicro|trend micro"
    r"|forcepoint|websense|sophos|fireeye|trellix|symantec|messagelabs|cloudmark|ironport|zscaler|bitdefender"
    r"|facebookexternalhit|whatsapp|slack|skype|linkcheck|monitor",
    re.IGNORECASE,
)


class Act(NamedTuple):
    """One open or click of a message. `verdict` is what stands in the ledger; `is_erased`: nothing is left to judge."""

    type: int
    at: datetime
    disc: int
    link_no: int | None
    verdict: int
    ip: str
    user_agent: str
    is_erased: bool = False


@lru_cache(maxsize=4096)
def judge_agent(user_agent: str) -> Verdict:
    """The verdict by the user agent alone."""
    if not user_agent or user_agent == _PRIVACY_PROXY:
        return Verdict.MACHINE
    if _PERSON.search(user_agent):
        return Verdict.HUMAN
    return Verdict.MACHINE if _MACHINE.search(user_agent) else Verdict.HUMAN


def judge_acts(acts: Sequence[Act]) -> list[Verdict]:
    """The verdict on each act of one message, all of whose acts are given."""
    bursts = _bursts([act for act in acts if act.type == EventType.CLICKED])
    return [
        Verdict(act.verdict)
        if act.is_erased
        else Verdict.MACHINE
        if any(_belongs(act, burst) for burst in bursts)
        else judge_agent(act.user_agent)
        for act in acts
    ]


def _bursts(clicks: list[Act]) -> list[list[Act]]:
    """Runs of clicks that no hand makes."""
    clicks.sort(key=lambda act: (act.at, act.disc))
    bursts = []
    for index, first in enumerate(clicks):
        run = [act for act in clicks[index:] if act.at - first.at <= BURST]
        if len({act.disc if act.link_no is None else (act.link_no,) for act in run}) >= BURST_LINKS:
            bursts.append(run)
    return bursts


def _belongs(act: Act, burst: list[Act]) -> bool:
    if act.type == EventType.CLICKED:
        return burst[0].at <= act.at <= burst[-1].at
    is_near = burst[0].at - BURST <= act.at <= burst[-1].at + BURST
    return is_near and any(act.user_agent == click.user_agent or (act.ip and act.ip == click.ip) for click in burst)
