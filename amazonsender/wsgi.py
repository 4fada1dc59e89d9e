import os

from django.core.wsgi import get_wsgi_application

from amazonsender.core.startup import refuse_wrong_configuration

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amazonsender.settings.production")

application = get_wsgi_application()
refuse_wrong_configuration()
