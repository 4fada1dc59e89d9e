from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.db.models.signals import post_migrate


class AdminConfig(DjangoAdminConfig):
    """Django's admin with our site in the place of its own."""

    default_site = "amazonsender.site.AmazonSenderSite"


class ProjectConfig(AppConfig):
    """The wiring: commands, system checks. No models."""

    name = "amazonsender"
    label = "amazonsender"

    def ready(self) -> None:
        from amazonsender import checks, periodic  # noqa: F401 - registers the system checks
        from amazonsender.core import (
            figures,
            task_logging,  # noqa: F401 - connects to Celery's signals
            tracing,
        )
        from amazonsender.core.error_reports import start_error_reports
        from amazonsender.core.logging import configure_structlog
        from amazonsender.settings.base import env
        from amazonsender.settings.gate import refuse_mistakes

        refuse_mistakes(env, {})  # again: a settings module of one's own may not end in it
        configure_structlog()
        figures.start()
        tracing.start()
        start_error_reports(
            dsn=settings.SENTRY_DSN,
            environment=settings.ENVIRONMENT,
            sample_rate=settings.SENTRY_SAMPLE_RATE,
        )
        post_migrate.connect(periodic.sync_periodic_tasks, sender=apps.get_app_config("django_celery_beat"))
