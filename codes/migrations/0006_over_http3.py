"""Adds what HTTP/3 and QUIC change to a code; a program without the column can still write."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('codes', '0005_releases_of_stroom'),
    ]

    operations = [
        migrations.AddField(
            model_name='statuscode',
            name='http3',
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
    ]
