"""What becomes of an email: decided by its address and the seed, so that a run can be repeated.

The same address fares the same in every email while the rates stay: a dead mailbox stays dead, a reader stays one.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from localses.config import Settings

SIMULATOR_DOMAIN = "simulator.amazonses.com"
SIMULATED = frozenset({"success", "bounce", "ooto", "complaint", "suppressionlist"})
SOFT_BOUNCES = ("General", "MailboxFull", "ContentRejected")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to an email, `after` seconds from its acceptance."""

    kind: str
    after: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """The whole story of one recipient's email."""

    outcome: str
    steps: tuple[Step, ...]
    reader: str = ""


def simulator_name(address: str) -> str | None:
    """Return which mailbox of the simulator this is, or None. Labels (`bounce+x@`) are allowed."""
    local, _, domain = address.rpartition("@")
    if domain.lower() != SIMULATOR_DOMAIN:
        return None
    name = local.partition("+")[0].lower()
    return name if name in SIMULATED else None


def decide(address: str, *, settings: Settings, seed: str, suppressed: bool) -> Fate:
    """Decide the fate of an email to `address`; `suppressed` says that the account's list holds it."""
    digest = hashlib.blake2b(f"{seed}\0{address.lower()}".encode(), digest_size=32).digest()
    draws = [number / 2**32 for number in struct.unpack("<8I", digest)]
    spread = settings.spread_seconds
    soon = spread * (0.02 + 0.08 * draws[7])
    simulated = simulator_name(address)
    if simulated is not None:
        return _simulated(simulated, soon)
    if suppressed:
        return Fate("suppressed", (Step("SEND", 0), Step("BOUNCE", soon, "Permanent/OnAccountSuppressionList")))
    if draws[0] < settings.bounce_rate:
        return Fate("bounced", (Step("SEND", 0), Step("BOUNCE", soon, "Permanent/General")))
    if draws[0] < settings.bounce_rate + settings.soft_bounce_rate:
        detail = "Transient/" + SOFT_BOUNCES[int(draws[7] * len(SOFT_BOUNCES))]
        return Fate("soft_bounced", (Step("SEND", 0), Step("BOUNCE", soon, detail)))
    steps = [Step("SEND", 0)]
    outcome = "delivered"
    if draws[1] < settings.delay_rate:
        steps.append(Step("DELIVERY_DELAY", soon, "MailboxFull" if draws[7] < 0.5 else "TransientCommunicationFailure"))
        soon += spread * 0.3
        outcome = "delayed"
    steps.append(Step("DELIVERY", soon))
    if draws[2] < settings.complaint_rate:
        steps.append(Step("COMPLAINT", soon + spread * (0.2 + 0.5 * draws[7]), "abuse"))
        outcome = "complained"
    reads = _reads(draws, settings, soon)
    return Fate(outcome, (*steps, *reads), ",".join(dict.fromkeys(step.kind[5:].lower() for step in reads)))


def _simulated(name: str, soon: float) -> Fate:
    sent, delivered = Step("SEND", 0), Step("DELIVERY", soon)
    if name == "bounce":
        return Fate("bounced", (sent, Step("BOUNCE", soon, "Permanent/General")))
    if name == "suppressionlist":
        return Fate("suppressed", (sent, Step("BOUNCE", soon, "Permanent/Suppressed")))
    if name == "complaint":
        return Fate("complained", (sent, delivered, Step("COMPLAINT", 2 * soon, "abuse")))
    if name == "ooto":
        return Fate("soft_bounced", (sent, delivered, Step("BOUNCE", 2 * soon, "Transient/General")))
    return Fate("delivered", (sent, delivered))


def _reads(draws: list[float], settings: Settings, delivered: float) -> list[Step]:
    """Return what a reader does, and before it what a machine in front of the mailbox does."""
    spread, steps = settings.spread_seconds, []
    if draws[3] < settings.machine_rate:
        # Apple's privacy proxy loads images; a link scanner follows every link. Both within moments of delivery.
        kind = "READ_PREFETCH" if draws[3] < settings.machine_rate / 2 else "READ_SCAN"
        steps.append(Step(kind, delivered + spread * 0.01))
    opened = delivered + spread * (0.05 + 0.85 * draws[7] ** 2)
    if draws[4] < settings.open_rate:
        steps.append(Step("READ_OPEN", opened))
    # Those who click are among those who open, as far as the rates allow.
    if draws[4] < settings.click_rate:
        steps.append(Step("READ_CLICK", opened + spread * (0.02 + 0.1 * draws[6])))
    if draws[5] < settings.unsubscribe_rate:
        steps.append(Step("READ_UNSUBSCRIBE", opened + spread * 0.15))
    return steps
