from django.db import migrations, models

REASONS = [
    ("quota", "Today's quota is used up"),
    ("paused", "Sending is paused at the provider"),
    ("suspended", "The provider suspended the account"),
    ("review", "The account is under review at the provider"),
    ("misconfigured", "The provider refuses our credentials or settings"),
    ("outage", "The provider does not answer"),
    ("home", "This database was restored or copied, or its public address changed"),
]


class Migration(migrations.Migration):
    """A sender that is not verified pauses what it sends, and no account."""

    dependencies = [("delivery", "0007_lifted_brakes")]

    operations = [
        migrations.RunSQL(
            "UPDATE delivery_account_pace SET parked_reason = '', parked_until = NULL WHERE parked_reason = 'sender'",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            "accountpace", "parked_reason", models.CharField(blank=True, choices=REASONS, max_length=16)
        ),
    ]
