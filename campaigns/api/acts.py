"""/api/v1/campaigns/…: trying, sending, and what can be done to one that is going out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns.api.campaigns import access_campaign, show_campaign_detail
from campaigns.api.serializers import (
    CampaignDetailSerializer,
    ConfirmationSerializer,
    ScheduleSerializer,
    TestSerializer,
)
from campaigns.models import Campaign
from campaigns.services.compose import save_campaign
from campaigns.services.controlling import control_campaign
from campaigns.services.dry_run import run_dry
from campaigns.services.field_values import Changes
from campaigns.services.launching import NotReady, launch_campaign
from campaigns.services.scheduling import schedule_campaign, unschedule_campaign
from campaigns.services.testing import send_campaign_test
from delivery.api.mailouts import MailoutDetailSerializer, show_mailout_detail
from delivery.compiling import CompileError
from organizations.api.views import ApiView, idempotent
from subscribers.api.subscribers import access_subscriber


@contextmanager
def _compiled() -> Iterator[None]:
    """What can't be compiled is refused with every finding, like anything else that isn't ready."""
    try:
        yield
    except CompileError as error:
        raise NotReady([finding.message for finding in error.findings if finding.blocking]) from None


class CampaignAct(ApiView):
    """The base: an act on one campaign."""

    def campaign(self, campaign_id: int) -> Campaign:
        return access_campaign(self.organization, campaign_id)

    def shown(self, campaign_id: int) -> Response:
        return Response(show_campaign_detail(self.campaign(campaign_id)))


class TestView(CampaignAct):
    """A test."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:test"}

    @extend_schema(
        operation_id="campaigns_test",
        tags=["campaigns"],
        request=TestSerializer,
        responses={201: MailoutDetailSerializer},
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Send it as it stands to the test recipients. Never to the list, and in no statistic."""
        campaign = self.campaign(campaign_id)
        given = self.read(TestSerializer)
        who = given.get("subscriber")
        with _compiled():
            mailout = send_campaign_test(
                campaign=campaign,
                recipients=given.get("recipients", self.organization.test_recipients),
                subscriber=access_subscriber(self.organization, who) if who else None,
                actor=None,
            )
        return Response(show_mailout_detail(mailout), status=201)


class DryRunView(CampaignAct):
    """A dry run."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:test"}

    @extend_schema(
        operation_id="campaigns_dry_run", tags=["campaigns"], request=None, responses={201: MailoutDetailSerializer}
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Do everything but sending, for the whole audience."""
        with _compiled():
            mailout = run_dry(campaign=self.campaign(campaign_id), actor=None)
        return Response(show_mailout_detail(mailout), status=201)


class SendView(CampaignAct):
    """Sending."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:send"}

    @extend_schema(
        operation_id="campaigns_send",
        tags=["campaigns"],
        request=ConfirmationSerializer,
        responses=CampaignDetailSerializer,
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Send it now. Asking again sends nothing more, with or without an Idempotency-Key."""
        campaign = self.campaign(campaign_id)
        given = self.read(ConfirmationSerializer)
        revision = given.get("revision", campaign.revision)
        with _compiled():
            launch_campaign(campaign=campaign, revision=revision, people=given.get("people"), actor=None)
        return self.shown(campaign_id)


class ScheduleView(CampaignAct):
    """Sending later."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:send"}

    @extend_schema(
        operation_id="campaigns_schedule",
        tags=["campaigns"],
        request=ScheduleSerializer,
        responses=CampaignDetailSerializer,
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Let it start by itself."""
        campaign = self.campaign(campaign_id)
        given = self.read(ScheduleSerializer)
        revision, people = given.pop("revision", campaign.revision), given.pop("people", None)
        with transaction.atomic(), _compiled():
            if given:
                changes: Changes = given  # type: ignore[assignment]  # the serializer names the same fields
                campaign = save_campaign(campaign=campaign, changes=changes, revision=revision, actor=None)
                revision = campaign.revision
            schedule_campaign(campaign=campaign, revision=revision, people=people, actor=None)
        return self.shown(campaign_id)


class UnscheduleView(CampaignAct):
    """Calling off."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:send"}

    @extend_schema(
        operation_id="campaigns_unschedule", tags=["campaigns"], request=None, responses=CampaignDetailSerializer
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Make a scheduled campaign a draft again."""
        unschedule_campaign(campaign=self.campaign(campaign_id), actor=None)
        return self.shown(campaign_id)


class PauseView(CampaignAct):
    """Pausing."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:send"}

    @extend_schema(operation_id="campaigns_pause", tags=["campaigns"], request=None, responses=CampaignDetailSerializer)
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Stop sending for now. What is out already comes back and is counted."""
        control_campaign(campaign=self.campaign(campaign_id), act="pause", actor=None)
        return self.shown(campaign_id)


class ResumeView(CampaignAct):
    """Going on."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:send"}

    @extend_schema(
        operation_id="campaigns_resume", tags=["campaigns"], request=None, responses=CampaignDetailSerializer
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Go on. After a brake this is a decision: that brake holds no more for this campaign."""
        control_campaign(campaign=self.campaign(campaign_id), act="resume", actor=None)
        return self.shown(campaign_id)


class CancelView(CampaignAct):
    """Stopping."""

    scopes: ClassVar[dict[str, str]] = {"POST": "campaign:send"}

    @extend_schema(
        operation_id="campaigns_cancel", tags=["campaigns"], request=None, responses=CampaignDetailSerializer
    )
    @idempotent
    def post(self, request: Request, campaign_id: int) -> Response:
        """Stop for good: whoever waits gets nothing."""
        control_campaign(campaign=self.campaign(campaign_id), act="stop", actor=None)
        return self.shown(campaign_id)
