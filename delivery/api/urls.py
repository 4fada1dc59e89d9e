from django.urls import path

from delivery.api.mailouts import MailoutsView, MailoutView
from delivery.api.messages import MailoutMessagesView, MessagesView, MessageView

urlpatterns = [
    path("mailouts", MailoutsView.as_view(), name="api-mailouts"),
    path("mailouts/<int:mailout_id>", MailoutView.as_view(), name="api-mailout"),
    path("mailouts/<int:mailout_id>/messages", MailoutMessagesView.as_view(), name="api-mailout-messages"),
    path("mailouts/<int:mailout_id>/messages/<int:n>", MessageView.as_view(), name="api-message"),
    path("messages", MessagesView.as_view(), name="api-messages"),
]
