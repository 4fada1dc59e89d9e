from django.db import migrations, models


class Migration(migrations.Migration):
    """Providers whose settings and limits are entered."""

    dependencies = [("delivery", "0009_letters_ahead")]

    operations = [
        migrations.AddField(
            "sendingaccount",
            "day_limit",
            models.IntegerField(blank=True, null=True, verbose_name="own limit, people in 24 hours"),
        ),
        migrations.AddField("sendingaccount", "options", models.JSONField(blank=True, default=dict)),
        migrations.AddField("sendingaccount", "sealed_options", models.TextField(blank=True)),
        migrations.AddField(
            "sendingaccount", "variant", models.CharField(blank=True, max_length=30, verbose_name="service")
        ),
    ]
