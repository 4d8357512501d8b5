"""Adds the releases of Stroom that send a code; a program without the column can still write."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('codes', '0004_long_texts_of_sources'),
    ]

    operations = [
        migrations.AddField(
            model_name='statuscode',
            name='releases',
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
    ]
