from django.db import migrations, models

TYPES = [
    (1, "Sent"),
    (2, "Delivered"),
    (3, "Bounced"),
    (4, "Bounced for now"),
    (5, "Delayed"),
    (6, "Complained"),
    (7, "Rejected"),
    (8, "Could not be rendered"),
    (9, "Opened"),
    (10, "Clicked"),
    (11, "Unsubscribed"),
    (12, "Automatic answer"),
    (13, "Sent again"),
]


class Migration(migrations.Migration):
    """A type of events more; nothing changes in the database."""

    dependencies = [("delivery", "0004_inbox_storage")]

    operations = [
        migrations.AlterField(model_name=name, name="type", field=models.SmallIntegerField(choices=TYPES))
        for name in ("deliveryevent", "statemail", "stathour", "statdomain")
    ]
