"""Before the fork every view is loaded, and what is loaded stays in pages that all workers share."""

import gc
import sys

from portal.server.startup import share_memory


def test_workers_share_what_they_load() -> None:
    try:
        share_memory()
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
    assert {"codes.pages.views", "feeds.api.feeds", "portal.rest.schema_views"} <= set(sys.modules)
