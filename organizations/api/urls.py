from django.urls import path

from organizations.api.views import KeyView

urlpatterns = [path("key", KeyView.as_view(), name="api-key")]
