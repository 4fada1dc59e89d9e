from django.db import migrations, models


class Migration(migrations.Migration):
    """A heartbeat, by which a restored snapshot is told from the database that it was made of."""

    dependencies = [("delivery", "0012_account_inspection")]

    operations = [
        migrations.AddField("enginehome", "heartbeat", models.BigIntegerField(default=0)),
    ]
