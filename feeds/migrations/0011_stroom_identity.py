"""Keeps what Stroom knows a feed by. A feed that is here already gets the uuid that its exports have borne so far."""

from typing import Any

from django.db import migrations, models

from feeds.store.stroom_packs import default_uuid

UUID = {
    "blank": True,
    "default": "",
    "editable": False,
    "max_length": 100,
    "db_default": "",
    "help_text": "By this Stroom knows the feed again, whatever its name; kept from an import.",
    "verbose_name": "uuid in Stroom",
}
KEPT = {
    "blank": True,
    "default": dict,
    "db_default": models.Value({}, models.JSONField()),
    "editable": False,
    "help_text": "What Stroom's export says of the feed and only Stroom has a use for.",
    "verbose_name": "kept for Stroom",
}
BATCH = 500


def give_uuids(apps: Any, schema_editor: Any) -> None:
    """Fill in the uuid of every feed; the history keeps an empty one, which restoring reads as the same."""
    Feed = apps.get_model("feeds", "Feed")
    batch = []
    for feed in Feed.objects.filter(stroom_uuid="").only("pk", "name").iterator(BATCH):
        feed.stroom_uuid = default_uuid(feed.name)
        batch.append(feed)
    Feed.objects.bulk_update(batch, ["stroom_uuid"], batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("feeds", "0010_stores_and_defaults")]

    operations = [
        *(
            migrations.AddField(model_name=model, name="stroom", field=models.JSONField(**KEPT))
            for model in ("feed", "historicalfeed")
        ),
        *(
            migrations.AddField(model_name=model, name="stroom_uuid", field=models.CharField(**UUID))
            for model in ("feed", "historicalfeed")
        ),
        migrations.RunPython(give_uuids, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="feed",
            constraint=models.UniqueConstraint(
                condition=models.Q(("stroom_uuid", ""), _negated=True),
                fields=("stroom_uuid",),
                name="feed_stroom_uuid_once",
            ),
        ),
    ]
