"""Shapes of lines: access logs, logs of Stroom and stroom-proxy, the first lines of responses. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

from codes.explain.patterns import (
    ACCESS_LOG,
    CLIENT_ERROR,
    LOG_FIELD,
    METHOD,
    NO_COUNT,
    PROXY_LOG,
    STATUS,
    STATUS_LINE,
    STROOM_ERROR,
    STROOM_HEADER,
    Shape,
    shape,
)

# What may stand on a line before a response's own first line: marks of curl, quoting, dumps and proxies' logs.
_BEFORE_LINE = r"""^(?:[<>*|\ \t]{0,12}|[\d:.]{8,15}\ [<=]\ |[0-9a-f]{4}:\ |[^\r\n]{0,120}(?:\bResponse:|\ <<)\ |(?:reply:\ |header:\ )?b?["']?)"""
_QUOTED_REQUEST = r'"(?:[^"\\\r\n]|\\.){0,8000}"'
_W3C_TIME = r"\d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d"
_CLF_TIME = r"\[\d{2}/[A-Z][a-z]{2}/\d{4}[:\ ][^\]\r\n]{1,30}\]"

LINES: tuple[Shape, ...] = (
    shape(  # what a test expected does not count where the answer is given
        CLIENT_ERROR,
        rf"""\bexpected\ [^\r\n]{{0,80}}?\b{STATUS}\b(?:\ ["'(][A-Za-z\ ]{{1,40}}["')])?,?\ (?:but\ )?(?:got|was|received|found|saw)\ (?:status\ )?
        (?P<http>{STATUS})\b{NO_COUNT}""",
        "AssertionError: expected status 200, but got 503",
        "expected 200 guests and got 503 letters",
    ),
    shape(  # this portal's own log
        PROXY_LOG,
        rf"(?<=\ )[a-z_]{{3,20}}\ (?P<http>{STATUS})/(?P<stroom>0|[1-9]\d{{0,2}})(?=\ feed=)",
        "INFO feeds.deliveries request_id=run-1 refused 401/300 feed='X-Y'",
        "moved 401/300 files",
    ),
    shape(
        STATUS_LINE,
        rf"\bHTTP\ \d{{1,6}}\ HTTP/\d(?:\.\d)?\ (?P<http>{STATUS})\b",
        "9 0.01 10.0.0.1 → 10.0.0.2 HTTP 240 HTTP/1.1 406 Not Acceptable",
        "HTTP 240 POST /datafeed HTTP/1.1",
    ),  # tshark
    shape(  # stroom-proxy: two numbers that differ
        LOG_FIELD,
        rf"""\bhttpResponseCode\ (?P<http>{STATUS})\ is\ different\ to\ the\ stroomStatusCode\.httpCode\ \d{{3}},[ ]
        \(stroomStatusCode\.code\ (?P<stroom>0|[1-9]\d{{0,2}}),""",
        "httpResponseCode 200 is different to the stroomStatusCode.httpCode 406, (stroomStatusCode.code 110, x)",
        "httpResponseCode 200 is equal to the stroomStatusCode.httpCode 200",
    ),
    shape(
        PROXY_LOG,
        r"""(?:^|(?<=[\s"\],]))"?(?:SEND|RECEIVE|REJECT|DROP|ERROR)"?,"?[^,"\r\n]{0,2000}"?,
        (?P<http>\d{3}|-1|0),(?P<stroom>0|[1-9]\d{0,2}),"?[^,"\r\n]{0,300}"?,\d+,\d+(?:,[^\r\n]{0,4000}|(?=\r?$))""",
        "REJECT,/stroom/datafeed,406,110,0000013735930_0000_P_node1,0,12,Feed is not set to receive data",
        "REJECT,4,406,110 of the parcels",
    ),
    shape(
        PROXY_LOG,
        r"""(?:^|(?<=[\s"\],]))"?(?:SEND|RECEIVE|REJECT|DROP|ERROR)"?,"?[^,"\r\n]{0,2000}"?,
        (?P<http>\d{3}|-1|0),(?:"?\d{13}_[^,"\r\n]{0,300}"?,)?\d+,\d+(?:,[^\r\n]{0,4000}|(?=\r?$))""",
        "SEND,http://stroom.example/datafeed,503,1024,12",
        "SENT,http://stroom.example/datafeed,503,1024,12",
    ),
    shape(
        ACCESS_LOG,  # Common Log Format and what grew from it: Apache, nginx, S3, with anything before the time
        rf"""^[^\r\n]{{0,400}}?{_CLF_TIME}(?:\ [^\s"]{{1,300}}){{0,8}}\ {_QUOTED_REQUEST}\ (?P<http>\d{{3}})
        (?:\ (?:\d+|-)(?=\ |\r?$)|\ [\d.]+\ ?ms\b|\r?$)""",
        '10.0.0.1 - - [01/Dec/2026:10:00:00 +0000] "POST /datafeed HTTP/1.1" 503 167',
        '10.0.0.1 - - [01/Dec/2026:10:00:00 +0000] "POST /datafeed HTTP/1.1" 9 503',
    ),
    shape(
        ACCESS_LOG,  # HAProxy
        rf"""^[^\r\n]{{0,400}}?{_CLF_TIME}\ \S{{1,200}}\ \S{{1,200}}/\S{{1,200}}\ [+-]?\d+(?:/[+-]?\d+){{3,4}}[ ]
        (?P<http>\d{{3}}|-1)\ \+?\d+[ ]""",
        "haproxy[9]: 10.0.0.1:5000 [01/Dec/2026:10:00:00.000] front back/s1 0/0/1/2/3 503 212 - - ---- 1/1/0/0/0 0/0",
        "haproxy[9]: 10.0.0.1:5000 [01/Dec/2026:10:00:00.000] front back/s1 0/0/3 503 -- 1/1/0/0/0 0/0",
    ),
    shape(
        ACCESS_LOG,  # CloudFront: date, time, edge, bytes, address, method, host, path, status
        rf"""^\d{{4}}-\d\d-\d\d[\t\ ]\d\d:\d\d:\d\d[\t\ ][A-Z]{{3}}\d{{1,3}}-\w{{1,5}}[\t\ ]\d+[\t\ ][\da-f.:]{{3,45}}[\t\ ]{METHOD}[\t\ ]
        \S{{1,300}}[\t\ ]\S{{1,2000}}[\t\ ](?P<http>\d{{3}})(?=[\t\ ])""",
        "2026-12-01\t10:00:00\tLHR61-P1\t500\t10.0.0.1\tPOST\td111.cloudfront.net\t/datafeed\t502\t-\tcurl/8.0",
        "2026-12-01\t10:00:00\tLHR61-P1\t502\t10.0.0.1\tPOST\td111.cloudfront.net\t/datafeed\t-\t-\tcurl/8.0",
    ),
    shape(
        ACCESS_LOG,  # AWS load balancers: what the client got, then what the target said
        r"""^[^\r\n]{0,300}?\ \S{3,60}:\d+\ (?:\S{3,60}:\d+|-)\ (?:-?\d+(?:\.\d+)?\ ){3}
        (?P<http>\d{3})\ (?:(?P<http_target>\d{3})|-)\ \d+\ \d+\ "[A-Z-]{1,20}[ ]""",
        'https 2026-12-01T10:00:00Z app/lb/50dc 10.0.0.1:2817 10.0.0.2:80 0.000 0.001 0.000 502 500 34 366 "POST https://x:443/datafeed HTTP/1.1"',
        "tcp 2026-12-01T10:00:00Z net/lb/50dc 10.0.0.1:2817 10.0.0.2:80 502 500 34 366",
    ),
    shape(
        ACCESS_LOG,  # IIS in its default order of fields
        rf"""^{_W3C_TIME}\ [0-9a-f.:%]{{3,60}}\ {METHOD}\ (?:\S+\ ){{2}}\d{{1,5}}\ \S+[ ]
        [0-9a-f.:%]{{3,60}}\ (?:\S+\ ){{1,2}}(?P<http>\d{{3}})\ \d+\ \d+\ \d+\r?$""",
        "2026-12-01 10:00:00 10.0.0.1 POST /datafeed - 443 - 10.0.0.2 curl/8.5 - 503 0 0 15",
        "2026-12-01 10:00:00 10.0.0.1 POST /datafeed - 443 - 10.0.0.2 curl/8.5 - 503",
    ),
    shape(
        ACCESS_LOG,  # IIS with all its fields, and without the line that names them
        rf"""^{_W3C_TIME}\ W3SVC\d{{1,6}}\ (?:\S+\ ){{1,2}}{METHOD}\ (?:\S+\ ){{2}}\d{{1,5}}\ \S+[ ]
        [0-9a-f.:%]{{3,60}}\ (?:HTTP/\S{{1,5}}\ )?(?:\S+\ ){{1,4}}?(?P<http>\d{{3}})(?:\ \d+){{2,6}}\r?$""",
        "2026-12-01 10:00:00 W3SVC1 WEB01 10.0.0.1 POST /datafeed - 443 - 10.0.0.2 HTTP/1.1 curl/8.5 - - x.example 503 0 0 500 300 15",
        "2026-12-01 10:00:00 W3SVC1 WEB01 503 sites were started",
    ),
    shape(
        ACCESS_LOG,  # what Windows itself refused before IIS saw it
        rf"""^{_W3C_TIME}\ (?:[0-9a-f.:%]{{3,60}}\ \d{{1,5}}\ ){{2}}HTTP/\d\.\d\ {METHOD}\ \S+[ ]
        (?:\S+\ )?(?P<http>\d{{3}})\ \S+\ [A-Z][A-Za-z_]{{2,60}}\ \S+\r?$""",
        "2026-12-01 10:00:00 10.0.0.2 50000 10.0.0.1 443 HTTP/1.1 POST /datafeed 400 - Hostname -",
        "2026-12-01 10:00:00 10.0.0.2 50000 10.0.0.1 443 - - - - - Timer_ConnectionIdle -",
    ),
    shape(
        ACCESS_LOG,
        r"\b(?:TCP|UDP|NONE|ERR)[A-Z_]{0,40}/(?P<http>\d{3})\ \d+\ [A-Z]{3,10}\ ",
        "1764583404.123 5 10.0.0.1 TCP_MISS/503 4012 POST http://x.example/datafeed - HIER_DIRECT/10.0.0.2",
        "TCP_MISS/503 of 4012",
    ),  # Squid
    shape(
        ACCESS_LOG,  # application servers and Envoy: the request in quotes, then the status
        rf'"{METHOD}\ [^"\r\n]{{1,8000}}\ HTTP/\d(?:\.\d)?"\ (?P<http>\d{{3}})\b(?![.\d]\d)',
        'INFO: 10.0.0.1:5000 - "POST /datafeed HTTP/1.1" 503 Service Unavailable',
        'INFO: 10.0.0.1:5000 - "POST /datafeed HTTP/1.1" 503.5 ms',
    ),
    shape(
        ACCESS_LOG,
        rf"\b(?P<http>{STATUS})\ {METHOD}\ /\S{{0,2000}}\ \([\da-f.:]{{3,45}}\)\ [\d.]+ms\b",
        "[W 261201 10:00:00 web:2348] 503 POST /datafeed (10.0.0.2) 0.66ms",
        "503 POST /datafeed forms in 0.66ms",
    ),  # Tornado
    shape(
        ACCESS_LOG,
        r"^\[GIN\]\ [^|\r\n]{1,60}\|(?:\x1b\[[\d;]*m)?\ {0,3}(?P<http>\d{3})\ ",
        '[GIN] 2026/12/01 - 10:00:00 | 503 |  1.2ms | 10.0.0.2 | POST "/datafeed"',
        "[GIN] 2026/12/01 503 routes",
    ),
    shape(
        ACCESS_LOG,
        rf"^[^\r\n]{{0,80}}?\b{METHOD}\ /\S{{0,2000}}\ (?P<http>{STATUS})\ [\d.]+\ ?m?s\b",
        "POST /datafeed 503 12.3 ms - 20",
        "POST /datafeed took 503 ms",
    ),  # morgan
    shape(
        ACCESS_LOG,
        rf"\bRequest\ finished\ HTTP/[\d.]{{1,4}}\ {METHOD}\ \S{{1,2000}}(?:\ \S{{1,100}}){{0,2}}\ -\ (?P<http>{STATUS})\b",
        "Request finished HTTP/1.1 POST https://x.example/datafeed application/gzip 404 - 413 0 - 0.5ms",
        "Request finished HTTP/1.1 POST https://x.example/datafeed in 413 ms",
    ),  # ASP.NET
    shape(
        ACCESS_LOG,
        rf'"{METHOD}\ /[^"\s]{{0,2000}}"\ (?P<http>{STATUS})\b(?![.\d]\d)',
        '"POST /index.php" 502',
        '"POST /index.php" 502.5',
    ),  # php-fpm
    shape(
        ACCESS_LOG,
        r'\bverb="[A-Z]{3,10}"\ URI="[^"\r\n]{1,2000}"[^\r\n]{0,300}?\bresp=(?P<http>\d{3})\b',
        '"HTTP" verb="POST" URI="/datafeed" latency="3ms" resp=503',
        '"HTTP" verb="POST" URI="/datafeed" latency="503ms"',
    ),  # Kubernetes
    shape(
        ACCESS_LOG,
        rf"\b{METHOD}\ (?:https?://|/)\S{{0,2000}}\ (?:-{{1,2}}>|=>|→)\ (?P<http>{STATUS})\b(?![.\d]\d)",
        "Sender - POST https://x.example/datafeed -> 503 (62 ms)",
        "POST https://x.example/datafeed -> 503.5",
    ),
    shape(
        STATUS_LINE,
        _BEFORE_LINE
        + r"""HTTP/\d(?:\.\d)?\ {1,2}(?P<http>\d{3})(?:\ (?P<reason>[^\r\n]{0,200}?))?
        (?:\r?$|(?=[\ ;,]{1,3}["']?Stroom-Status["']?\ ?[:=]))""",
        "HTTP/1.1 503 Service Unavailable",
        "HTTP/1.1 has 503 pages",
    ),
    shape(
        STATUS_LINE,
        rf"""(?:(?<=["\[(])|(?<=[<:]\ ))HTTP/\d(?:\.\d)?\ (?P<http>{STATUS})
        (?=["\])]|\r?$|\ [A-Z][^\r\n"\]]{{0,60}}(?:["\]]|\[\\r\]))""",
        'the answer began "HTTP/1.1 503 Service Unavailable" again',
        'the text "HTTP/1.1 has 503 pages"',
    ),
    shape(
        STROOM_HEADER,
        _BEFORE_LINE + r"Stroom-Status:[\ \t]*(?P<stroom>0|[1-9]\d{0,2})[\ \t]*\r?$",
        "< Stroom-Status: 110",
        "< Stroom-Status: 0110",
    ),
    shape(
        STROOM_ERROR,
        r"\bStroom\ Status\ (?P<stroom>0|[1-9]\d{0,2})\ -\ [^\r\n\[]{2,120}(?:\[[^\]\r\n]{0,400}\])?",
        "Stroom Status 110 - Feed is not set to receive data [Feed: X]",
        "Stroom Status 110 of 26",
    ),
)
