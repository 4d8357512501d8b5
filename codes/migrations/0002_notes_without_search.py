import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('codes', '0001_initial'),
    ]

    operations = [
        # With a default, so that the way back has something to put into the rows.
        migrations.AlterField(
            model_name='statuscode',
            name='search',
            field=models.TextField(default=''),
        ),
        migrations.RemoveField(
            model_name='statuscode',
            name='search',
        ),
        migrations.AlterField(
            model_name='historicallocalnote',
            name='text',
            field=models.TextField(help_text="Markdown, without headings and pictures. Everybody reads it on the code's page and in the API.", validators=[django.core.validators.MaxLengthValidator(10000)]),
        ),
        migrations.AlterField(
            model_name='localnote',
            name='text',
            field=models.TextField(help_text="Markdown, without headings and pictures. Everybody reads it on the code's page and in the API.", validators=[django.core.validators.MaxLengthValidator(10000)]),
        ),
    ]
