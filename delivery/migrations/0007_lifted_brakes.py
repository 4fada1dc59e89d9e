import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """Which brakes were lifted, where a flag had lifted all of them."""

    dependencies = [("delivery", "0006_home_within_a_cluster")]

    operations = [
        migrations.AddField(
            "mailout",
            "lifted_brakes",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=16), default=list, size=None
            ),
        ),
        migrations.RunSQL(
            "UPDATE delivery_mailout SET lifted_brakes = '{bounces,complaints,errors}' WHERE is_brake_lifted",
            "UPDATE delivery_mailout SET is_brake_lifted = cardinality(lifted_brakes) > 0",
        ),
        migrations.RemoveField("mailout", "is_brake_lifted"),
    ]
