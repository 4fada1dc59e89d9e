from django.urls import path

from organizations.views.invitations import invitation
from organizations.views.passwords import password_forgotten, password_new
from organizations.views.sign_in import sign_in_link

urlpatterns = [
    path("sign-in/<str:token>/", sign_in_link, name="sign_in_link"),
    path("password/forgotten/", password_forgotten, name="password_forgotten"),
    path("password/new/<str:uid>/<str:token>/", password_new, name="password_new"),
    path("invitation/<str:token>/", invitation, name="invitation"),
]
