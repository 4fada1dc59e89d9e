"""Keep waiting messages in their rows as they are: they live for seconds, too short to be worth packing."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("delivery", "0003_pace_and_brake")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE delivery_inbox SET (toast_tuple_target = 8160), ALTER COLUMN body SET STORAGE EXTERNAL",
            "ALTER TABLE delivery_inbox RESET (toast_tuple_target), ALTER COLUMN body SET STORAGE EXTENDED",
        )
    ]
