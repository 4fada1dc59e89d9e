from django.db import migrations, models


class Migration(migrations.Migration):
    """Where a mailout was launched, so that its trace and its request are found again whoever wakes a slice."""

    dependencies = [("delivery", "0013_home_heartbeat")]

    operations = [
        migrations.AddField("mailout", "traceparent", models.CharField(blank=True, default="", max_length=55)),
        migrations.AddField("mailout", "request_id", models.CharField(blank=True, default="", max_length=64)),
    ]
