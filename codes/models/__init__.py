"""The catalogue in the database: what is filtered, joined or edited is a table or a column, the rest is JSON.

Keys are the natural ones ("http/404", "http/451/microsoft"), so that loading needs no look-ups, a link is readable
and a reload changes nothing that others point to. Only `LocalNote` is ever edited; all else comes from the files.
"""

from codes.models.codes import HeaderUse, Meaning, MeaningVendor, StatusCode
from codes.models.local_notes import LocalNote
from codes.models.registries import CodeClass, Owner, Registry, Vendor
from codes.models.releases import Release
from codes.models.sources import Disagreement, Source, SourceEntry

__all__ = [
    "CodeClass",
    "Disagreement",
    "HeaderUse",
    "LocalNote",
    "Meaning",
    "MeaningVendor",
    "Owner",
    "Registry",
    "Release",
    "Source",
    "SourceEntry",
    "StatusCode",
    "Vendor",
]
