from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial")]

    operations = [
        migrations.AddField("campaign", "confirmed", models.JSONField(blank=True, null=True)),
        migrations.AddField("campaign", "is_archived", models.BooleanField(default=False, verbose_name="archived")),
    ]
