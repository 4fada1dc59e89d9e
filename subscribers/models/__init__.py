from subscribers.models.engagement import Engagement
from subscribers.models.imports import Import, ImportChunk, ImportMode, ImportReject, ImportState
from subscribers.models.lists import ConsentRecord, List, Subscription, SubscriptionState
from subscribers.models.subscriber import AttributeDefinition, AttributeType, Domain, Subscriber, SubscriberStatus
from subscribers.models.suppression import Suppression, SuppressionReason, SuppressionScope

__all__ = [
    "AttributeDefinition",
    "AttributeType",
    "ConsentRecord",
    "Domain",
    "Engagement",
    "Import",
    "ImportChunk",
    "ImportMode",
    "ImportReject",
    "ImportState",
    "List",
    "Subscriber",
    "SubscriberStatus",
    "Subscription",
    "SubscriptionState",
    "Suppression",
    "SuppressionReason",
    "SuppressionScope",
]
