from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0002_confirmation")]

    operations = [
        migrations.AddField("campaign", "is_by_local_time", models.BooleanField(default=False)),
        migrations.AddField("campaign", "starts_at", models.DateTimeField(null=True)),
        migrations.RunSQL(
            "UPDATE campaigns_campaign SET starts_at = scheduled_at WHERE state = 'scheduled'",
            migrations.RunSQL.noop,
        ),
        migrations.RemoveIndex("campaign", "campaign_due"),
        migrations.AddIndex(
            "campaign",
            models.Index(
                fields=["starts_at"], name="campaign_starting", condition=models.Q(("state", "scheduled"))
            ),
        ),
    ]
