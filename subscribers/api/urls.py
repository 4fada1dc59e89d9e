from django.urls import path, register_converter
from django.urls.converters import StringConverter

from subscribers.api.lists import ListsView, ListView
from subscribers.api.subscribers import SubscribersView, SubscriberView, SubscriptionView, UnsubscribeView
from subscribers.api.suppressions import SuppressionsView, SuppressionView


class WhoConverter(StringConverter):
    """An id or an address, whose local part may have slashes in it."""

    regex = "(?:[^@]+@[^/@]+|[^/]+)"


register_converter(WhoConverter, "who")

urlpatterns = [
    path("lists", ListsView.as_view(), name="api-lists"),
    path("lists/<int:list_id>", ListView.as_view(), name="api-list"),
    path("subscribers", SubscribersView.as_view(), name="api-subscribers"),
    path("subscribers/<who:who>", SubscriberView.as_view(), name="api-subscriber"),
    path("subscribers/<who:who>/lists/<int:list_id>", SubscriptionView.as_view(), name="api-subscription"),
    path("subscribers/<who:who>/unsubscribe", UnsubscribeView.as_view(), name="api-unsubscribe"),
    path("suppressions", SuppressionsView.as_view(), name="api-suppressions"),
    path("suppressions/<int:suppression_id>", SuppressionView.as_view(), name="api-suppression"),
]
