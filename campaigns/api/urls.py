from django.urls import path

from campaigns.api.acts import (
    CancelView,
    DryRunView,
    PauseView,
    ResumeView,
    ScheduleView,
    SendView,
    TestView,
    UnscheduleView,
)
from campaigns.api.campaigns import CampaignsView, CampaignView, ReviewView
from campaigns.api.templates import TemplatesView, TemplateView

urlpatterns = [
    path("templates", TemplatesView.as_view(), name="api-templates"),
    path("templates/<int:template_id>", TemplateView.as_view(), name="api-template"),
    path("campaigns", CampaignsView.as_view(), name="api-campaigns"),
    path("campaigns/<int:campaign_id>", CampaignView.as_view(), name="api-campaign"),
    path("campaigns/<int:campaign_id>/review", ReviewView.as_view(), name="api-campaign-review"),
    path("campaigns/<int:campaign_id>/test", TestView.as_view(), name="api-campaign-test"),
    path("campaigns/<int:campaign_id>/dry-run", DryRunView.as_view(), name="api-campaign-dry-run"),
    path("campaigns/<int:campaign_id>/send", SendView.as_view(), name="api-campaign-send"),
    path("campaigns/<int:campaign_id>/schedule", ScheduleView.as_view(), name="api-campaign-schedule"),
    path("campaigns/<int:campaign_id>/unschedule", UnscheduleView.as_view(), name="api-campaign-unschedule"),
    path("campaigns/<int:campaign_id>/pause", PauseView.as_view(), name="api-campaign-pause"),
    path("campaigns/<int:campaign_id>/resume", ResumeView.as_view(), name="api-campaign-resume"),
    path("campaigns/<int:campaign_id>/cancel", CancelView.as_view(), name="api-campaign-cancel"),
]
