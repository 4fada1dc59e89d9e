import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Transactional mail starts ahead of what campaigns have booked, at a pace of its own."""

    dependencies = [("delivery", "0008_sender_parks_no_account")]

    operations = [
        migrations.AddField("accountpace", "letter_tat", models.DateTimeField(default=django.utils.timezone.now)),
    ]
