"""Findings of the compiler, with their place as the author knows it and the step where they are mended."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from campaigns.selectors.content import Composition
from delivery.compiling import Finding

STEP_OF_PART = {"subject": "sender", "preheader": "sender", "html": "content", "text": "content"}
# What preflight says is mended on these steps.
STEP_OF_BLOCKER = {
    "no_subject": "sender",
    "no_body": "content",
    "no_audience": "audience",
    "sample_people": "audience",
    "sender_not_verified": "sender",
    "no_account": "sender",
    "no_sender": "sender",
}


@dataclass(frozen=True)
class Problem:
    """One finding. line is in the author's text, 0 when the place is elsewhere; place says where in words."""

    is_blocking: bool
    message: str
    hint: str
    line: int
    place: str
    step: str


def describe_problems(composition: Composition, findings: list[Finding]) -> list[Problem]:
    """The findings as people read them: blocking ones first, then in the order of lines."""
    problems = [_describe(composition, finding) for finding in findings]
    return sorted(problems, key=lambda problem: (not problem.is_blocking, problem.line or 1 << 30))


def _describe(composition: Composition, finding: Finding) -> Problem:
    line = composition.author_line(finding) if finding.part == "html" else 0
    return Problem(
        is_blocking=finding.blocking,
        message=finding.message,
        hint=finding.hint,
        line=line,
        place=_place(composition, finding, line),
        step=STEP_OF_PART.get(finding.part, "content"),
    )


def _place(composition: Composition, finding: Finding, line: int) -> str:
    if finding.part == "subject":
        return _("Subject")
    if finding.part == "preheader":
        return _("Preview text")
    if line:
        return _("Line %(n)s") % {"n": line}
    in_template = composition.template_line(finding)
    if in_template:
        return _("Template “%(name)s”, line %(n)s") % {"name": composition.template_name, "n": in_template}
    return _("Content")
