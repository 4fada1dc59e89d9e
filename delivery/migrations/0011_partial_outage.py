from django.db import migrations, models


class Migration(migrations.Migration):
    """An outage of a part of the calls ends with several answers in a row."""

    dependencies = [("delivery", "0010_other_providers")]

    operations = [
        migrations.AddField("accountpace", "probes_wanted", models.SmallIntegerField(default=0)),
    ]
