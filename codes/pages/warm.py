"""Reads the catalogue into memory before a page asks for it: at the start of a worker, and after each load."""

import logging
import threading

from django.db import Error, connections

from codes import snapshot
from codes.release import LoadVersion, one_version
from codes.search.index import current_index
from codes.templatetags.catalogue import rendered_once
from portal.database.threads import DatabaseRefused, Unavailable, database

log = logging.getLogger(__name__)


def warm() -> None:
    """Read the catalogue, index it, and render the rows that pages have in common."""
    with one_version():
        catalogue = snapshot.current()
        current_index()
        rendered_once("includes/_code.html", catalogue.codes.values())
        rendered_once("includes/_header.html", catalogue.headers.values())
        for template in ("includes/_listed_disagreement.html", "includes/_own_disagreement.html"):
            rendered_once(template, catalogue.disagreements.values())


class Warmer:
    """Warms up once for each load, in a thread of its own, so that no request waits for it. Off until started."""

    def __init__(self) -> None:
        self.is_started = False
        self._load: LoadVersion | None = None
        self._lock = threading.Lock()

    def follow(self, load: LoadVersion | None) -> None:
        """Warm up where this load is another one than the last."""
        with self._lock:
            if not self.is_started or load is None or load == self._load:
                return
            self._load = load
        threading.Thread(target=self._run, name="catalogue", daemon=True).start()

    def _run(self) -> None:
        try:
            with database():
                warm()
        except (Unavailable, DatabaseRefused, Error):
            log.info("the catalogue could not be read into memory; the first page reads it", exc_info=True)
        finally:
            connections.close_all()
