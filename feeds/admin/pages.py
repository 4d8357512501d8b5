"""Pages of the feed admin in addition to Django's: address, view of `FeedAdmin`, and name, in one list."""

from collections.abc import Sequence

from django.contrib.admin import ModelAdmin
from django.urls import path
from django.urls.resolvers import URLPattern

#: Address below the list of feeds, method of `FeedAdmin`, name in the namespace `admin`.
PAGES = (
    ("views/", "save_view", "feeds_feed_save_view"),
    ("views/<int:key>/remove/", "remove_view", "feeds_feed_remove_view"),
    ("set-status/", "set_status_view", "feeds_feed_set_status"),
    ("edit/<str:kind>/", "edit_view", "feeds_feed_bulk_edit"),
    ("deleted/", "deleted_view", "feeds_feed_deleted"),
    ("deleted/<int:feed_id>/", "restore_view", "feeds_feed_restore"),
    ("<int:feed_id>/revert/", "revert_view", "feeds_feed_revert"),
    ("test/", "test_view", "feeds_feed_test"),
    ("import/", "import_view", "feeds_feed_import"),
    ("import/<uuid:key>/", "confirm_view", "feeds_feed_import_confirm"),
    ("export/<str:kind>/", "export_view", "feeds_feed_export"),
)
#: The page of a feed, at its name.
READ = ("<path:object_id>/", "read_view", "feeds_feed_read")


def urls_of(feed_admin: ModelAdmin, own: Sequence[URLPattern]) -> list[URLPattern]:  # type: ignore[type-arg]  # generic only in the stubs
    """Return the addresses of these pages and Django's `own`; each view is for users of the admin only.

    The page of a feed takes the place of the last of Django's, a redirect, which takes whatever is left.
    """
    *pages, read = (
        path(address, feed_admin.admin_site.admin_view(getattr(feed_admin, view)), name=name)
        for address, view, name in (*PAGES, READ)
    )
    return [*pages, *own[:-1], read]
