import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from amazonsender.bodies import WholeBodies
from amazonsender.core.places import Places
from amazonsender.core.slow_senders import SlowSenders
from amazonsender.core.startup import refuse_wrong_configuration

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amazonsender.settings.production")

application = WholeBodies(
    get_wsgi_application(), places=Places(settings.WEB_THREADS), slow_senders=SlowSenders(settings.BODY_SECONDS)
)
refuse_wrong_configuration()
