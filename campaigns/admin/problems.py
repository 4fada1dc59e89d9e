"""Findings of the compiler, with their place as the author knows it and the step where they are mended."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from campaigns.selectors.content import Composition
from delivery.compiling import Finding
from delivery.compiling.messages import say

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
    line, column = composition.author_place(finding)
    message, hint = say(finding.code, finding.params, _)
    return Problem(
        is_blocking=finding.blocking,
        message=message,
        hint=hint,
        line=line if finding.part == "html" else 0,
        place=_place(composition, finding, line, column),
        step=STEP_OF_PART.get(finding.part, "content"),
    )


def _place(composition: Composition, finding: Finding, line: int, column: int) -> str:
    where = {"n": line, "column": column}
    if finding.part == "subject":
        return _("Subject, column %(column)s") % where if column else _("Subject")
    if finding.part == "preheader":
        return _("Preview text, column %(column)s") % where if column else _("Preview text")
    if line:
        return _("Line %(n)s, column %(column)s") % where
    line, column = composition.template_place(finding)
    if line:
        return _("Template “%(name)s”, line %(n)s, column %(column)s") % {
            "name": composition.template_name,
            "n": line,
            "column": column,
        }
    return _("Content")
