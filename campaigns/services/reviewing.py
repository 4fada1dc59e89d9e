"""Everything that is known about a campaign before it goes out: who gets it, what stops it, what is worth a look."""

from __future__ import annotations

from dataclasses import dataclass, field

from campaigns.models import Campaign, TemplateVersion
from campaigns.selectors.accounts import account_of
from campaigns.selectors.content import Composition, compose_email
from delivery.compiling import Compilation, CompileError, Finding
from delivery.models import SendingAccount
from delivery.selectors.audience import Audience, AudienceCount, count_audience
from delivery.services.compiling import check_source
from delivery.services.preflight import Blocker, blocking_reasons

# Said by preflight in words of its own; the compiler's finding would say the same again.
SAID_BY_PREFLIGHT = frozenset({"no_subject", "no_body"})


@dataclass(frozen=True)
class ContentCheck:
    """What the compiler says about the content: the compilation where there is one, and the findings."""

    composition: Composition
    compilation: Compilation | None
    findings: list[Finding]

    @property
    def blocking(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.blocking]

    @property
    def notes(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.blocking]


@dataclass(frozen=True)
class Review:
    """One look at a campaign; nothing in it is written anywhere."""

    content: ContentCheck
    account: SendingAccount | None
    audience: Audience
    count: AudienceCount
    blockers: list[Blocker] = field(default_factory=list)

    @property
    def blocking_count(self) -> int:
        return len(self.blockers) + len(self.content.blocking)

    @property
    def is_clear(self) -> bool:
        return self.blocking_count == 0

    @property
    def reasons(self) -> list[str]:
        """What stops it, in sentences."""
        return [blocker.message for blocker in self.blockers] + [finding.message for finding in self.content.blocking]


def audience_of(campaign: Campaign) -> Audience:
    """The lists of a campaign as the engine wants them."""
    return Audience(
        tuple(sorted(campaign.lists.values_list("pk", flat=True))),
        tuple(sorted(campaign.excluded_lists.values_list("pk", flat=True))),
    )


def check_content(campaign: Campaign, *, version: TemplateVersion | None = None) -> ContentCheck:
    """Compile without storing anything."""
    composition = compose_email(campaign, version=version)
    if not campaign.subject.strip() and not campaign.body.strip():
        return ContentCheck(composition, None, [])
    try:
        compilation = check_source(organization=campaign.organization, source=composition.source)
    except CompileError as error:
        return ContentCheck(composition, None, list(error.findings))
    return ContentCheck(composition, compilation, list(compilation.findings))


def review_campaign(campaign: Campaign, *, is_dry_run: bool = False) -> Review:
    """Look at content, audience, sender and account."""
    content = check_content(campaign)
    audience = audience_of(campaign)
    account = account_of(campaign)
    count = count_audience(organization=campaign.organization, audience=audience)
    blockers = blockers_of(campaign, account=account, audience=audience, count=count, is_dry_run=is_dry_run)
    if any(blocker.code in SAID_BY_PREFLIGHT for blocker in blockers):
        kept = [finding for finding in content.findings if finding.code not in SAID_BY_PREFLIGHT]
        content = ContentCheck(content.composition, content.compilation, kept)
    return Review(content, account, audience, count, blockers)


def blockers_of(
    campaign: Campaign,
    *,
    account: SendingAccount | None,
    audience: Audience,
    count: AudienceCount,
    is_dry_run: bool,
) -> list[Blocker]:
    """What keeps the campaign from going out, apart from what the compiler says."""
    blockers = blocking_reasons(
        organization=campaign.organization,
        account=account,
        compiled=None,
        subject=campaign.subject,
        audience=audience,
        sender_email=campaign.sender_email,
        is_dry_run=is_dry_run,
        count=count,
    )
    # Nothing is stored for a look, so preflight misses the compiled email; whether there is content is known here.
    return [blocker for blocker in blockers if blocker.code != "no_body" or not campaign.body.strip()]
