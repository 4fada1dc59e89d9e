"""Know a copy within the same cluster: the object ids of the database and of the table that says where home is."""

from django.db import migrations, models

HERE = """
UPDATE delivery_engine_home
   SET database_oid = (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
       table_oid = 'delivery_engine_home'::regclass::oid::bigint
"""


class Migration(migrations.Migration):
    dependencies = [("delivery", "0005_sent_again")]

    operations = [
        migrations.AddField("enginehome", "database_oid", models.BigIntegerField(default=0), preserve_default=False),
        migrations.AddField("enginehome", "table_oid", models.BigIntegerField(default=0), preserve_default=False),
        migrations.RunSQL(HERE, migrations.RunSQL.noop),
    ]
