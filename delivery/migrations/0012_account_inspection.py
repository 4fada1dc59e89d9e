import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """How an account is set up at its provider and in DNS, as it was found last."""

    dependencies = [("delivery", "0011_partial_outage"), ("organizations", "0002_api_keys")]

    operations = [
        migrations.AddField("sendingaccount", "inspected_at", models.DateTimeField(null=True)),
        migrations.AddField("sendingaccount", "inspection", models.JSONField(blank=True, default=dict)),
        migrations.CreateModel(
            "SendingDomain",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=253, verbose_name="domain")),
                ("identity", models.JSONField(blank=True, default=dict)),
                ("findings", models.JSONField(blank=True, default=dict)),
                ("checked_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="domains", to="delivery.sendingaccount"
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
            ],
            options={
                "verbose_name": "sending domain",
                "verbose_name_plural": "sending domains",
                "constraints": [models.UniqueConstraint(fields=("account", "name"), name="sending_domain_once")],
            },
        ),
    ]
