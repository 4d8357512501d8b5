"""Shapes of fields: a status under a name, as JSON, logfmt and dumps of headers hold it. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

from codes.explain.patterns import (
    CLIENT_ERROR,
    JSON_FIELD,
    LOG_FIELD,
    NO_COUNT,
    STATUS,
    STROOM_HEADER,
    Shape,
    shape,
)

_HTTP_PART = r"(?:http|response|resp|upstream|downstream|origin|elb|target|edge|backend|sc)[._-]?"
# Keys under which JSON logs, logfmt lines and API bodies keep a status.
_HTTP_KEY = rf"(?:(?:{_HTTP_PART}){{0,3}}status(?:[._-]?code)?|(?:http|response|resp)[._-]?(?:response[._-]?)?code)"
# Those that leave no doubt even with a colon, as in a dump or in YAML.
_PLAIN_KEY = r"(?:http[._ -]?(?:response[._ -]?)?(?:status|code)|http[._ -]?(?:response|status)[._ -]?code|(?:status|response)[._ -]?code|http[._-]?status[._-]?code|sc-status)"
_STROOM_KEY = r"stroom[._-]?status(?:[._-]?code)?"

FIELDS: tuple[Shape, ...] = (
    shape(
        JSON_FIELD,
        rf'"{_HTTP_KEY}"\s*:\s*"?(?P<http>{STATUS})(?:"|(?=\s*[,}}\]\r\n]|\s*$))',
        '{"status": 503, "path": "/datafeed"}',
        '{"status": 503.5}',
    ),
    shape(
        JSON_FIELD,
        r'"error"\s*:\s*\{\s*"code"\s*:\s*"?(?P<http>[45]\d\d)(?:"|(?=\s*[,}]))',
        '{"error": {"code": 503, "status": "UNAVAILABLE"}}',
        '{"errors": {"code": 503}}',
    ),
    shape(
        JSON_FIELD,
        r'"status"\s*:\s*\{\s*"code"\s*:\s*(?P<http>[1-5]\d\d)(?=\s*[,}])',
        '{"status": {"code": 503}}',
        '{"status": {"count": 503}}',
    ),
    shape(
        JSON_FIELD,
        r'"responseStatus"\s*:\s*\{(?:[^{}]|\{[^{}]{0,300}\}){0,300}?"code"\s*:\s*(?P<http>[1-5]\d\d)(?=\s*[,}])',
        '{"responseStatus": {"metadata": {}, "code": 503}}',
        '{"requestStatus": {"metadata": {}, "code": 503}}',
    ),
    shape(
        JSON_FIELD,
        r"""[{,]\s*"code"\s*:\s*(?P<http>[45]\d\d)(?=\s*,\s*"(?:message|error|reason|detail|description|status)"\s*:)""",
        '{"code": 503, "message": "backend is down"}',
        '{"code": 503, "colour": "red"}',
    ),
    shape(
        JSON_FIELD,
        r'"message"\s*:\s*"[^"\r\n]{0,300}"\s*,\s*"code"\s*:\s*(?P<http>[45]\d\d)(?=\s*[,}])',
        '{"message": "backend is down", "code": 503}',
        '{"message": "backend is down", "count": 503}',
    ),
    shape(
        JSON_FIELD,
        rf"'{_HTTP_KEY}'\s*:\s*'?(?P<http>{STATUS})(?:'|(?=\s*[,}}\]\r\n]|\s*$))",
        "{'status_code': 503, 'ok': False}",
        "{'statues': 503}",
    ),  # Python, JavaScript
    shape(
        JSON_FIELD,
        r'"kind"\s*:\s*"Status"[^\0]{0,1000}?"code"\s*:\s*(?P<http>[45]\d\d)(?=\s*[,}])',
        '{"kind": "Status", "apiVersion": "v1", "code": 503}',
        '{"kind": "State", "apiVersion": "v1", "code": 503}',
    ),
    shape(
        JSON_FIELD,
        rf'"{_STROOM_KEY}"\s*:\s*"?(?P<stroom>0|[1-9]\d{{0,2}})(?:"|(?=\s*[,}}\]\r\n]|\s*$))',
        '{"stroom_status": 110, "feed": "X"}',
        '{"stroom_stats": 110}',
    ),
    shape(
        LOG_FIELD,
        rf'(?:^|(?<=[\s,;\[({{|])){_STROOM_KEY}[=:]\s?"?(?P<stroom>0|[1-9]\d{{0,2}})\b(?![.\d])',
        "refused stroom_status=110 bytes=0",
        "refused stroom_status=1.10",
    ),
    shape(  # headers as programs dump them
        STROOM_HEADER,
        r"""(?<![\w-])(?:'stroom-status'\s?:|"stroom-status"\s?:\s?(?=\[)|stroom-status:(?=\[)|\[stroom-status,
        |"stroom-status",|'stroom-status',)\s?\[?["']?(?P<stroom>0|[1-9]\d{0,2})(?=["'\]\s,;)}])""",
        "{'stroom-status': '110', 'date': 'x'}",
        "{'stroom-statuses': '110'}",
    ),
    shape(
        LOG_FIELD,
        rf":{_HTTP_KEY}\s?=>\s?\"?(?P<http>{STATUS})\b(?![.:/\d])",
        '{:status=>503, :body=>""}',
        "{:statues=>503}",
    ),  # Ruby
    shape(
        LOG_FIELD,
        rf"""(?:^|(?<=[\s,;\[({{|]))http=(?P<http>{STATUS})[,;\ ]{{1,2}}
        stroom=(?P<stroom>0|[1-9]\d{{0,2}})\b(?![.\d])""",
        "refused http=406 stroom=110 bytes=0",
        "refused http=406 rooms=110",
    ),
    shape(  # `resp.StatusCode = 503`, `response.statusCode() == 503`, `invokehttp.status.code: 503`
        LOG_FIELD,
        rf"""(?<![\w-])(?:[\w$]{{1,30}}(?:\.|->|::)){{1,5}}(?:http_?)?(?:status|response)[._]?code(?:\.value__)?(?:\(\))?
        \s{{0,10}}(?:=>|->|={{1,3}}|:)\ {{0,3}}["']?(?P<http>{STATUS})\b(?![.:/\d])""",
        "resp.StatusCode = 503",
        "resp.StatusCode = 5030",
    ),
    shape(
        LOG_FIELD,
        r":(?:response_)?code\s?=>\s?(?P<http>[1-5]\d\d)\b(?![.:/\d])",
        "will retry {:code=>429, :body=>''}",
        "will retry {:encode=>429}",
    ),  # Logstash
    shape(
        LOG_FIELD,
        r"\bHTTP\ (?:server|endpoint|output|request|client|API)\b[^\r\n]{0,100}?[\ ,(]code[=:]\ ?(?P<http>[45]\d\d)\b(?![.:/\d])",
        "got unrecoverable error response from HTTP server, code=406",
        "the HTTP server has a code=4060",
    ),
    shape(
        STROOM_HEADER,
        r"""["']stroom-status["'][\])]{1,2}\r?\n(?:>>>\ )?["']?(?P<stroom>0|[1-9]\d{0,2})["']?(?=\s*$)""",
        ">>> r.headers['Stroom-Status']\n'110'",
        ">>> r.headers['Stroom-Status']\n'x110'",
    ),
    shape(
        CLIENT_ERROR,
        rf"\bstatus:\s{{0,4}}(?P<http>{STATUS}),\s{{1,40}}statusText:",
        "response: {\n  status: 503,\n  statusText: 'Service Unavailable'",
        "status: 503,\n  text: 'x'",
    ),
    shape(
        LOG_FIELD,
        rf"""(?:^|(?<=[\s,;\[({{|]))(?:{_HTTP_KEY}|{_PLAIN_KEY})(?:=["']?(?P<http>{STATUS})\b
        |\ {{0,3}}={{1,2}}\ {{0,3}}["']?(?P<http2>{STATUS})\b{NO_COUNT})(?![.:/\d])""",
        "level=error status=503 path=/datafeed\nthe gateway said HTTP status = 508",
        "level=error statues=503",
    ),
    shape(  # the short key of logfmt, next to a pair that says what the line is about
        LOG_FIELD,
        rf"""\b(?:level|msg|message|error|err|reason)=(?:"[^"\r\n]{{0,300}}"|[^\s"]{{1,100}})\ code="?(?P<http>[45]\d\d)\b{NO_COUNT}(?![.:/]\w)
        |(?:^|(?<=\s))code="?(?P<http2>[45]\d\d)\b"?(?=\ (?:msg|message|error|err|reason|{_STROOM_KEY})=)""",
        'level=error msg="push failed" code=401\ncode=503 msg="push failed"',
        "push failed code=401",
    ),
    shape(
        STROOM_HEADER,
        r"""(?<![\w-])Stroom-Status(?:\ {0,3}=\ {0,3}["']?|\ ?:\ {0,3}["'])(?P<stroom>0|[1-9]\d{0,2})(?:["']|(?=\s|[,;)]|$))""",
        "answered 406, Stroom-Status: '110'\nStroom-Status = 301",
        "Stroom-Status = 1.1",
    ),
    shape(
        LOG_FIELD,
        rf'(?:^|(?<=[\s,;\[({{|])){_PLAIN_KEY}\s*:\s*"?(?P<http>{STATUS})\b(?![.:/\d])',
        "http_status: 503",
        "http_status: 503.5",
    ),
    shape(
        LOG_FIELD,
        rf"(?<![A-Z])HTTP[_-]?(?:STATUS|CODE)[:=]\s?(?P<http>{STATUS})\b(?![.:/\d])",
        "</html>HTTPSTATUS:503",
        "XHTTPSTATUS:503",
    ),
    shape(
        LOG_FIELD,
        rf"^[\ \t]*Status:[\ \t]*(?P<http>{STATUS})(?=[\ \t]+(?:(?-i:[A-Z(])|ok)|[\ \t]*,\ (?:Stroom|(?!\d|[\w-]+:))|[\ \t]*\r?$)",
        "Status: 503 Service Unavailable",
        "Status: 503 items",
    ),
)
