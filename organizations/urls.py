from django.urls import path

from organizations.views.sign_in import sign_in_link

urlpatterns = [path("sign-in/<str:token>/", sign_in_link, name="sign_in_link")]
