"""Types of data that Stroom knows. A stroom-proxy refuses an archive with 102 for a type that it does not know."""

#: What Stroom and its proxy are configured with unless a site says otherwise. Upper and lower case count.
STREAM_TYPES = frozenset(
    {
        "Context",
        "Detections",
        "Error",
        "Events",
        "Meta Data",
        "Raw Events",
        "Raw Reference",
        "Records",
        "Reference",
        "Test Events",
        "Test Reference",
    }
)


def is_known_type(name: str) -> bool:
    """Return whether Stroom takes data of this type. None at all is the feed's own."""
    return not name or name in STREAM_TYPES
