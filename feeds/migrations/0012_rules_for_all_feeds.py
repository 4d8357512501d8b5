"""A certificate rule may belong to no feed: a deny rule that holds for every feed."""

import django.db.models.deletion
from django.db import migrations, models


def remove_rules_of_no_feed(apps, _editor):
    """Going back: an earlier version has no place for them."""
    apps.get_model("feeds", "CertificateRule").objects.filter(feed=None).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("feeds", "0011_stroom_identity"),
    ]

    operations = [
        migrations.AlterField(
            model_name="certificaterule",
            name="feed",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="certificate_rules",
                to="feeds.feed",
            ),
        ),
        migrations.AddConstraint(
            model_name="certificaterule",
            constraint=models.CheckConstraint(
                condition=models.Q(("feed__isnull", False), ("action", "deny"), _connector="OR"),
                name="rule_for_all_feeds_denies",
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, remove_rules_of_no_feed),
    ]
