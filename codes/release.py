"""One value for all that the catalogue's public pages show: where it is the same, so are they."""

from django.db.models import Max

from codes.models import LocalNote, Release


def content_version() -> tuple[int | None, int | None]:
    """The latest load and the latest change of a note. Both numbers only grow, also when the clock is set back."""
    release = Release.objects.order_by("-pk").values_list("pk", flat=True).first()
    note = LocalNote.history.order_by().aggregate(latest=Max("history_id"))["latest"]
    return release, note
