"""The shapes in which programs write status codes: responses, logs, messages of clients. Pure.

A shape asks for the words or the signs around a number, never for the number alone. Its groups `http…` and
`stroom…` hold the numbers; a shape with several numbers gives one passage for each.
"""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A kind of passage and how to find it, with an example and a text that it does not match."""

    kind: str
    pattern: re.Pattern[str]
    example: str = ""
    counter_example: str = ""


def _shape(kind: str, pattern: str) -> Shape:
    return Shape(kind, re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.VERBOSE))


STATUS_LINE = "status line"
STROOM_HEADER = "Stroom-Status header"
STROOM_ERROR = "Stroom error"
STROOM_MESSAGE = "Stroom message"
ACCESS_LOG = "access log line"
PROXY_LOG = "stroom-proxy log line"
JSON_FIELD = "JSON field"
LOG_FIELD = "log field"
CURL_ERROR = "curl error"
CLIENT_ERROR = "client error"
NAMED = "code with its name"
IN_TEXT = "code named in text"
QUESTION = "question"
NO_ANSWER = "no answer"
FAULT = "connection fault"
SERVER_LOG = "server's error log line"
SERVER_PAGE = "server's error page"
TUNNEL = "open tunnel"

#: One line of these is one answer, so that nothing on another line belongs to it.
LINE_KINDS = frozenset({ACCESS_LOG, PROXY_LOG, LOG_FIELD, JSON_FIELD, SERVER_LOG})

STATUS = r"[1-5]\d\d"
METHOD = r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE|PROPFIND|REPORT|MKCOL)"
# After a number that counts something, measures it, or is part of a longer one.
NO_COUNT = r"""(?![.,]?\d|[:/-]\d|\ ?%|\ ?(?:ms|µs|[kmg]i?b|bytes?|secs?|seconds?|minutes?|hours?|days?|times|km|years?)\b
    |\ (?-i:requests|connections|clients|servers|nodes|users|hits|calls|feeds|streams|events|files|rows|lines|people
    |items|pages|tests|records|messages|instances|machines|hosts|pods|workers|threads|tickets)\b)"""
# After a number that nothing but "error" or "status" introduces: the sentence ends, or goes on about the answer.
NO_NOUN = r"""(?=\r?$|\W{1,3}$|[^\w\s]|\ (?:[^\w\s]|(?-i:[A-Z])|(?:for|from|when|on|in|at|with|while|after|because|
    but|and|or|to|by|via|as|is|was|reading|again)\b))"""
# What may stand on a line before a response's own first line: marks of curl, quoting, dumps and proxies' logs.
_BEFORE_LINE = r"""^(?:[<>*|\ \t]{0,12}|[\d:.]{8,15}\ [<=]\ |[0-9a-f]{4}:\ |[^\r\n]{0,120}(?:\bResponse:|\ <<)\ |(?:reply:\ |header:\ )?b?["']?)"""
_HTTP_PART = r"(?:http|response|resp|upstream|downstream|origin|elb|target|edge|backend|sc)[._-]?"
# Keys under which JSON logs, logfmt lines and API bodies keep a status.
_HTTP_KEY = rf"(?:(?:{_HTTP_PART}){{0,3}}status(?:[._-]?code)?|(?:http|response|resp)[._-]?(?:response[._-]?)?code)"
# Those that leave no doubt even with a colon, as in a dump or in YAML.
_PLAIN_KEY = r"(?:http[._ -]?(?:response[._ -]?)?(?:status|code)|http[._ -]?(?:response|status)[._ -]?code|(?:status|response)[._ -]?code|http[._-]?status[._-]?code|sc-status)"
_STROOM_KEY = r"stroom[._-]?status(?:[._-]?code)?"
_QUOTED_REQUEST = r'"(?:[^"\\\r\n]|\\.){0,8000}"'
_W3C_TIME = r"\d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d"
_CLF_TIME = r"\[\d{2}/[A-Z][a-z]{2}/\d{4}[:\ ][^\]\r\n]{1,30}\]"

#: In order of trust: where two overlap, the earlier one counts.
SHAPES: tuple[Shape, ...] = (
    _shape(  # what a test expected counts for nothing beside what came
        CLIENT_ERROR,
        rf"""\bexpected\ [^\r\n]{{0,80}}?\b{STATUS}\b,?\ (?:but\ )?(?:got|was|received|found|saw)\ (?:status\ )?
        (?P<http>{STATUS})\b{NO_COUNT}""",
    ),
    _shape(  # this portal's own log
        PROXY_LOG,
        rf"(?<=\ )[a-z_]{{3,20}}\ (?P<http>{STATUS})/(?P<stroom>0|[1-9]\d{{0,2}})(?=\ feed=)",
    ),
    _shape(STATUS_LINE, rf"\bHTTP\ \d{{1,6}}\ HTTP/\d(?:\.\d)?\ (?P<http>{STATUS})\b"),  # tshark
    _shape(  # stroom-proxy: two numbers that differ
        LOG_FIELD,
        rf"""\bhttpResponseCode\ (?P<http>{STATUS})\ is\ different\ to\ the\ stroomStatusCode\.httpCode\ \d{{3}},[ ]
        \(stroomStatusCode\.code\ (?P<stroom>0|[1-9]\d{{0,2}}),""",
    ),
    _shape(
        PROXY_LOG,
        r"""(?:^|(?<=[\s"\],]))"?(?:SEND|RECEIVE|REJECT|DROP|ERROR)"?,"?[^,"\r\n]{0,2000}"?,
        (?P<http>\d{3}|-1|0),(?P<stroom>0|[1-9]\d{0,2}),"?[^,"\r\n]{0,300}"?,\d+,\d+(?:,[^\r\n]{0,4000}|(?=\r?$))""",
    ),
    _shape(
        PROXY_LOG,
        r"""(?:^|(?<=[\s"\],]))"?(?:SEND|RECEIVE|REJECT|DROP|ERROR)"?,"?[^,"\r\n]{0,2000}"?,
        (?P<http>\d{3}|-1|0),(?:"?\d{13}_[^,"\r\n]{0,300}"?,)?\d+,\d+(?:,[^\r\n]{0,4000}|(?=\r?$))""",
    ),
    _shape(
        ACCESS_LOG,  # Common Log Format and what grew from it: Apache, nginx, S3, with anything before the time
        rf"""^[^\r\n]{{0,400}}?{_CLF_TIME}(?:\ [^\s"]{{1,300}}){{0,8}}\ {_QUOTED_REQUEST}\ (?P<http>\d{{3}})
        (?:\ (?:\d+|-)(?=\ |\r?$)|\ [\d.]+\ ?ms\b|\r?$)""",
    ),
    _shape(
        ACCESS_LOG,  # HAProxy
        rf"""^[^\r\n]{{0,400}}?{_CLF_TIME}\ \S{{1,200}}\ \S{{1,200}}/\S{{1,200}}\ [+-]?\d+(?:/[+-]?\d+){{3,4}}[ ]
        (?P<http>\d{{3}}|-1)\ \+?\d+[ ]""",
    ),
    _shape(
        ACCESS_LOG,  # AWS load balancers: what the client got, then what the target said
        r"""^[^\r\n]{0,300}?\ \S{3,60}:\d+\ (?:\S{3,60}:\d+|-)\ (?:-?\d+(?:\.\d+)?\ ){3}
        (?P<http>\d{3})\ (?:(?P<http_target>\d{3})|-)\ \d+\ \d+\ "[A-Z-]{1,20}[ ]""",
    ),
    _shape(
        ACCESS_LOG,  # IIS in its default order of fields
        rf"""^{_W3C_TIME}\ [0-9a-f.:%]{{3,60}}\ {METHOD}\ (?:\S+\ ){{2}}\d{{1,5}}\ \S+[ ]
        [0-9a-f.:%]{{3,60}}\ (?:\S+\ ){{1,2}}(?P<http>\d{{3}})\ \d+\ \d+\ \d+\r?$""",
    ),
    _shape(
        ACCESS_LOG,  # IIS with all its fields, and without the line that names them
        rf"""^{_W3C_TIME}\ W3SVC\d{{1,6}}\ (?:\S+\ ){{1,2}}{METHOD}\ (?:\S+\ ){{2}}\d{{1,5}}\ \S+[ ]
        [0-9a-f.:%]{{3,60}}\ (?:HTTP/\S{{1,5}}\ )?(?:\S+\ ){{1,4}}?(?P<http>\d{{3}})(?:\ \d+){{2,6}}\r?$""",
    ),
    _shape(
        ACCESS_LOG,  # what Windows itself refused before IIS saw it
        rf"""^{_W3C_TIME}\ (?:[0-9a-f.:%]{{3,60}}\ \d{{1,5}}\ ){{2}}HTTP/\d\.\d\ {METHOD}\ \S+[ ]
        (?:\S+\ )?(?P<http>\d{{3}})\ \S+\ [A-Z][A-Za-z_]{{2,60}}\ \S+\r?$""",
    ),
    _shape(ACCESS_LOG, r"\b(?:TCP|UDP|NONE|ERR)[A-Z_]{0,40}/(?P<http>\d{3})\ \d+\ [A-Z]{3,10}\ "),  # Squid
    _shape(
        ACCESS_LOG,  # application servers and Envoy: the request in quotes, then the status
        rf'"{METHOD}\ [^"\r\n]{{1,8000}}\ HTTP/\d(?:\.\d)?"\ (?P<http>\d{{3}})\b(?![.\d]\d)',
    ),
    _shape(
        ACCESS_LOG, rf"\b(?P<http>{STATUS})\ {METHOD}\ /\S{{0,2000}}\ \([\da-f.:]{{3,45}}\)\ [\d.]+ms\b"
    ),  # Tornado
    _shape(ACCESS_LOG, r"^\[GIN\]\ [^|\r\n]{1,60}\|(?:\x1b\[[\d;]*m)?\ {0,3}(?P<http>\d{3})\ "),
    _shape(ACCESS_LOG, rf"^[^\r\n]{{0,80}}?\b{METHOD}\ /\S{{0,2000}}\ (?P<http>{STATUS})\ [\d.]+\ ?ms\b"),  # morgan
    _shape(
        STATUS_LINE,
        _BEFORE_LINE + r"HTTP/\d(?:\.\d)?\ {1,2}(?P<http>\d{3})(?:\ (?P<reason>[^\r\n]{0,200}?))?\r?$",
    ),
    _shape(
        STATUS_LINE,
        rf"""(?:(?<=["\[(])|(?<=[<:]\ ))HTTP/\d(?:\.\d)?\ (?P<http>{STATUS})
        (?=["\])]|\r?$|\ [A-Z][^\r\n"\]]{{0,60}}(?:["\]]|\[\\r\]))""",
    ),
    _shape(STROOM_HEADER, _BEFORE_LINE + r"Stroom-Status:[\ \t]*(?P<stroom>0|[1-9]\d{0,2})[\ \t]*\r?$"),
    _shape(
        STROOM_ERROR, r"\bStroom\ Status\ (?P<stroom>0|[1-9]\d{0,2})\ -\ [^\r\n\[]{2,120}(?:\[[^\]\r\n]{0,400}\])?"
    ),
    _shape(JSON_FIELD, rf'"{_HTTP_KEY}"\s*:\s*"?(?P<http>{STATUS})(?:"|(?=\s*[,}}\]\r\n]|\s*$))'),
    _shape(JSON_FIELD, r'"error"\s*:\s*\{\s*"code"\s*:\s*"?(?P<http>[45]\d\d)(?:"|(?=\s*[,}]))'),
    _shape(JSON_FIELD, r'"status"\s*:\s*\{\s*"code"\s*:\s*(?P<http>[1-5]\d\d)(?=\s*[,}])'),
    _shape(
        JSON_FIELD,
        r'"responseStatus"\s*:\s*\{(?:[^{}]|\{[^{}]{0,300}\}){0,300}?"code"\s*:\s*(?P<http>[1-5]\d\d)(?=\s*[,}])',
    ),
    _shape(
        JSON_FIELD,
        r"""[{,]\s*"code"\s*:\s*(?P<http>[45]\d\d)(?=\s*,\s*"(?:message|error|reason|detail|description|status)"\s*:)""",
    ),
    _shape(JSON_FIELD, r'"message"\s*:\s*"[^"\r\n]{0,300}"\s*,\s*"code"\s*:\s*(?P<http>[45]\d\d)(?=\s*[,}])'),
    _shape(
        JSON_FIELD, rf"'{_HTTP_KEY}'\s*:\s*'?(?P<http>{STATUS})(?:'|(?=\s*[,}}\]\r\n]|\s*$))"
    ),  # Python, JavaScript
    _shape(JSON_FIELD, r'"kind"\s*:\s*"Status"[^\0]{0,1000}?"code"\s*:\s*(?P<http>[45]\d\d)(?=\s*[,}])'),
    _shape(JSON_FIELD, rf'"{_STROOM_KEY}"\s*:\s*"?(?P<stroom>0|[1-9]\d{{0,2}})(?:"|(?=\s*[,}}\]\r\n]|\s*$))'),
    _shape(LOG_FIELD, rf'(?:^|(?<=[\s,;\[({{|])){_STROOM_KEY}[=:]\s?"?(?P<stroom>0|[1-9]\d{{0,2}})\b(?![.\d])'),
    _shape(  # headers as programs dump them
        STROOM_HEADER,
        r"""(?<![\w-])(?:'stroom-status'\s?:|"stroom-status"\s?:\s?(?=\[)|stroom-status:(?=\[)|\[stroom-status,
        |"stroom-status",|'stroom-status',)\s?\[?["']?(?P<stroom>0|[1-9]\d{0,2})(?=["'\]\s,;)}])""",
    ),
    _shape(LOG_FIELD, rf":{_HTTP_KEY}\s?=>\s?\"?(?P<http>{STATUS})\b(?![.:/\d])"),  # Ruby
    _shape(
        LOG_FIELD,
        rf"""(?:^|(?<=[\s,;\[({{|]))http=(?P<http>{STATUS})[,;\ ]{{1,2}}
        stroom=(?P<stroom>0|[1-9]\d{{0,2}})\b(?![.\d])""",
    ),
    _shape(CLIENT_ERROR, rf"\bstatus:\s{{0,4}}(?P<http>{STATUS}),\s{{1,40}}statusText:"),
    _shape(LOG_FIELD, rf'(?:^|(?<=[\s,;\[({{|])){_HTTP_KEY}="?(?P<http>{STATUS})\b(?![.:/\d])'),
    _shape(LOG_FIELD, rf'(?:^|(?<=[\s,;\[({{|])){_PLAIN_KEY}\s*:\s*"?(?P<http>{STATUS})\b(?![.:/\d])'),
    _shape(LOG_FIELD, rf"(?<![A-Z])HTTP[_-]?(?:STATUS|CODE)[:=]\s?(?P<http>{STATUS})\b(?![.:/\d])"),
    _shape(
        LOG_FIELD,
        rf"^[\ \t]*Status:[\ \t]*(?P<http>{STATUS})(?=[\ \t]+(?:(?-i:[A-Z(])|ok)|[\ \t]*,\ Stroom|[\ \t]*\r?$)",
    ),
    _shape(
        CURL_ERROR,
        r"""(?:\bcurl:\ \(22\)\ [^\r\n]{0,80}?error:\ (?P<http>\d{3})\b
        | \brequested\ URL\ returned\ error:?\ (?P<http2>\d{3})\b
        | \bReceived\ HTTP\ code\ (?P<http3>\d{3})\ from\ proxy
        | \bCONNECT\ tunnel\ failed,\ response\ (?P<http4>\d{3})\b)""",
    ),
    _shape(
        CLIENT_ERROR,
        rf"""\b(?:
            (?:failed|error|errored|rejected|responded|returned|answered|response|request|got|received|unexpected|bad)
                \ (?:\w{{1,30}}\ ){{0,3}}?(?:status|response|error)
                (?:\ ?code:?\ (?:of\ )?(?P<http>{STATUS})\b{NO_COUNT}
                    |(?::|\ of|\ code)?\ (?P<http0>{STATUS})\b{NO_COUNT}{NO_NOUN})
            | (?:http\ )?(?:status|response|return)\ code:?\ (?:is\ ?|was\ ?|of\ )?:?\ ?\[?
                (?P<http2>{STATUS})\b{NO_COUNT}
            | HTTP\ (?:error|status|response|code):?\ (?:response\ |status\ )?(?:code:?\ )?
                (?P<http3>{STATUS})\b(?!\ ?%)
            | remote\ server\ returned\ an\ (?:error|unexpected\ response):\ \((?P<http4>{STATUS})\)
            | (?:client|server)\ error\ '(?P<http5>{STATUS})\ [^'\r\n]{{1,80}}'
            | ERROR\ (?P<http6>[45]\d\d):\ [A-Z]
            | awaiting\ response\.\.\.\ (?P<http7>{STATUS})\b
            | code\ does\ not\ indicate\ success:\ (?P<http8>{STATUS})\b
            | HTTP\ status\ (?:client|server)\ error\ \((?P<http9>{STATUS})\b
            | too\ many\ (?P<http10>{STATUS})\ error\ responses
            | status\ (?P<http11>{STATUS})\ reading\ \w
            | Response\{{protocol=[\w/.]{{1,12}},\ code=(?P<http12>{STATUS}),
            | HttpS?(?:Client|Server)ErrorException\S{{0,60}}:\ (?P<http13>{STATUS})\b
            | error\ code:?\ (?P<http14>[45]\d\d)\b{NO_COUNT}
            | HttpError:?\ (?P<http15>[45]\d\d)\b{NO_COUNT}
            | HTTP\ error[!,.:;]\ ?status:?\ (?P<http17>{STATUS})\b{NO_COUNT}
            | StatusCodeError:\ (?P<http18>{STATUS})\b(?!\ ?%)
            | Layer7\ [a-z]{{1,20}}\ [a-z]{{1,20}},\ code:\ (?P<http19>{STATUS})\b
            | (?:Server|Client|Status|Http)\w{{0,30}}\ \{{\ code:\ (?P<http20>{STATUS})\b
            | Received\ (?P<http21>101),\ Switching\ to\b
            | (?:Transport|HTTP|API|Client|Server|Response|Request|Status|NotFound|Auth\w{{0,20}})Error\(
                (?P<http22>[45]\d\d),\ ?["']
            | (?:\w{{1,60}}\.){{1,8}}(?:exceptions|errors)\.\w{{3,60}}:\ (?P<http23>[45]\d\d)[ ]
            | an\ error\ occurred\ \((?P<http16>[45]\d\d)\)\ when\ calling\b
        )""",
    ),
    _shape(CLIENT_ERROR, rf"<--\ (?P<http>{STATUS})\ (?:[A-Za-z][\w ]{{0,60}}\ )?https?://"),  # OkHttp
    _shape(CLIENT_ERROR, r"^(?P<http>404)\ page\ not\ found\r?$"),  # Go's own body
    _shape(CLIENT_ERROR, rf"^(?:HTTP\ )?Response:\ (?P<http>{STATUS})\r?$"),
    _shape(CLIENT_ERROR, rf"<Response\ \[(?P<http>{STATUS})(?:\ [^\]\r\n]{{1,60}})?\]>"),
    _shape(CLIENT_ERROR, rf"\({METHOD}\ https?://[^\s)]{{1,2000}}\)\ (?P<http>{STATUS})\b(?![.\d]\d)"),
    _shape(CLIENT_ERROR, r"(?:^|(?<=\ ))(?P<http>[45]\d\d)\ (?:Client|Server)\ Error:\ [^\r\n]{1,300}"),
    _shape(CLIENT_ERROR, rf"Error:\ (?P<http>{STATUS}),\ message="),
    _shape(
        CLIENT_ERROR,
        r"""(?<![\w./:-])(?<!SMTP\ )(?<!FTP\ )(?<!SQL\ )error\ (?P<http>[45]\d\d)\b
        (?=\r?$|[)\]"'!?;]|\.(?:\s|$)|\ (?:\(|-\ |–\ |when\b|on\b|from\b|Ray\ ID\b))""",
    ),
    _shape(IN_TEXT, rf"(?<![\w./:-])HTTP[\ -](?P<http>{STATUS})\b{NO_COUNT}"),
    _shape(IN_TEXT, rf"(?<![\w./:-])HTTP:\ ?(?P<http>{STATUS})\b{NO_COUNT}(?=\r?$|[.,;!?)\]\"'](?:\s|$)|\ [-–(])"),
    _shape(
        IN_TEXT,
        rf"""(?<![\w./:$€£-])(?P<http>{STATUS})(?:,|\ (?:with|and|plus|/|\+))\ (?:a\ )?Stroom[\ -]Status[\ :=]\ ?
        (?P<stroom>0|[1-9]\d{{0,2}})\b{NO_COUNT}""",
    ),
    _shape(IN_TEXT, rf"(?<![\w./:-])Stroom[\ -]Status[\ :=]\ ?(?P<stroom>0|[1-9]\d{{0,2}})\b{NO_COUNT}"),
    _shape(IN_TEXT, rf"(?<![\w./:-])Stroom\ (?P<stroom>[1-9]\d\d)\b{NO_COUNT}(?!\ [a-z]{{3,20}}s\b)"),
    _shape(  # XML
        JSON_FIELD,
        rf"""<(?:\w{{1,20}}:)?(?:http)?[_-]?(?:status|(?:status|error|response)?[_-]?code)>\s{{0,9}}(?P<http>{STATUS})\s{{0,9}}</
        |<(?:error|status|response)\s[^<>]{{0,100}}?\b(?:code|status)=["'](?P<http2>[45]\d\d)["']""",
    ),
    _shape(  # other languages' words for an error or a status code
        CLIENT_ERROR,
        rf"""(?:HTTP[\ -]?(?:Fehler|hatası|状态码|エラー)
        |(?<!\w)(?:Fehler|Erreur|Ошибка|Fout|Errore|Błąd|Erro|Hata|エラー|错误|錯誤))
        (?:\ HTTP)?\ ?:?\ ?(?P<http>[45]\d\d)\b{NO_COUNT}
        |(?:c[oó]digo|code|codice|kod|код|kode)\ (?:de\ |d['’]|di\ )?(?:respuesta|statut|état|estado|stato|réponse|risposta
            |resposta|status|odpowiedzi|ответа|состояния)(?:\ HTTP)?\ ?:?\ ?(?P<http2>{STATUS})\b{NO_COUNT}
        |(?:(?<!\w)(?:HTTP-)?(?:Antwort|Status)[\ -]?code|状态码|狀態碼|ステータスコード)\ ?:?\ ?(?P<http3>{STATUS})\b{NO_COUNT}
        |(?:erreur|fehler|error|errore|erro|エラー|ошибк|błąd)[^\r\n:(]{{0,40}}:\ ?\((?P<http4>{STATUS})\)""",
    ),
    _shape(CLIENT_ERROR, rf"\bStatus\((?P<http>{STATUS})[,)]"),  # Rust
    _shape(CLIENT_ERROR, rf"\bResponse\s?\{{\s?status:\s?(?P<http>{STATUS})\b"),
    _shape(CLIENT_ERROR, rf"^{METHOD}\ https?://\S{{1,2000}}\ (?P<http>{STATUS})\r?$"),
    _shape(CLIENT_ERROR, r"(?<![\w./:-])(?P<http>[45]\d\d)\.\s{1,3}That[’']s\ an\ error\b"),  # Google
    _shape(CLIENT_ERROR, r"^(?P<http>[45]\d\d)\ (?-i:ERROR)\ {0,4}\r?$"),  # CloudFront
    _shape(LOG_FIELD, r"\b(?:code|rc)=(?P<http>[45]\d\d)\ (?:method|msg|path|proto)="),
    _shape(LOG_FIELD, rf'\{{(?:[^{{}}\r\n]{{0,200}},)?\ ?(?:code|status)="(?P<http>{STATUS})"'),  # Prometheus
    _shape(LOG_FIELD, rf"\bprobe_http_status_code(?:\{{[^{{}}\r\n]{{0,200}}\}})?\ (?P<http>{STATUS})\b"),
    _shape(JSON_FIELD, rf'"http\.(?:response\.)?status_code":\ ?\{{"intValue":\ ?"?(?P<http>{STATUS})\b'),
    _shape(CLIENT_ERROR, rf"\bHTTPStatus\.[A-Z_]{{2,40}}:\ (?P<http>{STATUS})\b"),
)

#: The whole input is a question about a code or a pair, as one types it into a search box.
QUESTION_SHAPE = re.compile(
    r"""\s*(?:
        (?P<http_word>http(?:\ status)?\s*)?(?P<http>[1-9]\d\d)
            (?:\s*[/+&(-]\s*|\s*,\s*|\s+(?:and\s+|with\s+)?)
            (?P<stroom_word>stroom(?:[- ]status)?\s*:?\s*)?(?P<stroom>0|[1-9]\d{0,2})\)?
        | (?:http(?:\ status)?\s*)?(?P<http_only>[1-9]\d\d)
        | stroom(?:[- ]status)?\s*:?\s*(?P<stroom_only>0|[1-9]\d{0,2})
        | (?P<http_named>[1-9]\d\d)[ :,-]{1,3}(?P<name>[^\r\n]{1,100}?)[.!?]?
    )\s*""",
    re.IGNORECASE | re.VERBOSE,
)
#: A pair whose second number is padded: no Stroom-Status is written so.
PADDED_PAIR = re.compile(
    r"\s*(?:http\s*)?(?P<http>[1-9]\d\d)\s*[/+&,]\s*(?:stroom(?:[- ]status)?\s*:?\s*)?0\d{1,4}\s*", re.IGNORECASE
)
#: A line that names the fields of the lines below it (W3C extended log format: IIS, CloudFront, proxies).
FIELDS_LINE = re.compile(r"^#Fields:[ \t]*([^\r\n]+)", re.IGNORECASE)
FIELD = re.compile(r'"[^"\r\n]*"|[^\s"]+')
