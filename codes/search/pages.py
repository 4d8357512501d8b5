"""Pages other than a code's that a query can mean: the words for each, its title and where it is. Pure."""

from collections.abc import Sequence

# Lists that a query can mean, and pages that are about no code: the words for them, title, and where they are.
FILTERED: Sequence[tuple[tuple[str, ...], str, str]] = (
    (
        (
            "retry",
            "retryable",
            "retry later",
            "safe to retry",
            "should i retry",
            "send again",
            "backoff",
            "back off",
            "idempotent",
        ),
        "Codes after which to wait and send the same again",
        "retry=after_wait",
    ),
    (
        ("never retry", "do not retry", "dont retry", "not retryable", "no retry"),
        "Codes after which nothing is sent again",
        "retry=never",
    ),
    (
        ("cacheable", "cache", "heuristically cacheable"),
        "Codes that a cache may store by itself",
        "cacheable=heuristic",
    ),
    (("deprecated", "obsolete", "obsoleted"), "Codes that are deprecated", "standing=deprecated"),
    (("unused", "reserved"), "Codes that are reserved and unused", "standing=unused"),
    (
        ("unofficial", "vendor codes", "non standard", "nonstandard", "custom codes"),
        "Codes of vendors",
        "standing=vendor-only",
    ),
)
PAGES: Sequence[tuple[tuple[str, ...], str, str]] = (
    (("disagreements", "disagree", "contradictions", "differences"), "Where sources disagree", "disagreements"),
    (("compare", "comparison", "side by side"), "Compare codes", "compare"),
    (
        (
            "explain",
            "paste",
            "log line",
            "curl output",
            "data lost",
            "lost data",
            "lost files",
            "files lost",
            "missing data",
            "data missing",
            "data gone",
            "data disappeared",
            "my data is gone",
            "where is my data",
            "where did my data go",
            "where did my files go",
            "lost",
        ),
        "Explain an answer",
        "explain",
    ),
    (("sources", "references"), "Sources", "sources"),
    (("headers", "header fields"), "Headers", "headers"),
    (("vendors",), "Vendors", "vendors"),
    (("export", "download", "json", "csv", "api", "data"), "The catalogue as data", "data"),
)
#: Sections of a code's page that say what changes over HTTP/3: words, title, code.
SECTIONS: Sequence[tuple[tuple[str, ...], str, int]] = (
    (("http3", "http/3", "h3", "quic", "http3 quic"), "HTTP 502 over HTTP/3 and QUIC", 502),
    (("http3", "http/3", "h3", "quic", "http3 quic"), "HTTP 503 over HTTP/3 and QUIC", 503),
)
