from django.db import migrations

from feeds import commit_order


class Migration(migrations.Migration):

    dependencies = [
        ("feeds", "0008_hand_over"),
    ]

    operations = [
        migrations.RunPython(commit_order.install, commit_order.remove),
    ]
