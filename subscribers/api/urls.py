from django.urls import path

from subscribers.api.lists import ListsView, ListView
from subscribers.api.subscribers import SubscribersView, SubscriberView, SubscriptionView, UnsubscribeView
from subscribers.api.suppressions import SuppressionsView, SuppressionView

urlpatterns = [
    path("lists", ListsView.as_view(), name="api-lists"),
    path("lists/<int:list_id>", ListView.as_view(), name="api-list"),
    path("subscribers", SubscribersView.as_view(), name="api-subscribers"),
    path("subscribers/<str:who>", SubscriberView.as_view(), name="api-subscriber"),
    path("subscribers/<str:who>/lists/<int:list_id>", SubscriptionView.as_view(), name="api-subscription"),
    path("subscribers/<str:who>/unsubscribe", UnsubscribeView.as_view(), name="api-unsubscribe"),
    path("suppressions", SuppressionsView.as_view(), name="api-suppressions"),
    path("suppressions/<int:suppression_id>", SuppressionView.as_view(), name="api-suppression"),
]
