from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """Django's admin with our site in the place of its own."""

    default_site = "amazonsender.site.AmazonSenderSite"


class ProjectConfig(AppConfig):
    """The wiring: commands, system checks. No models."""

    name = "amazonsender"
    label = "amazonsender"

    def ready(self) -> None:
        from amazonsender import checks  # noqa: F401 - registers the system checks
