from campaigns.models.campaign import Campaign, CampaignRevision, CampaignState, ContentFormat
from campaigns.models.template import Template, TemplateVersion

__all__ = ["Campaign", "CampaignRevision", "CampaignState", "ContentFormat", "Template", "TemplateVersion"]
