"""Shapes of messages: what clients, libraries, XML and people say of a status, in several languages. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

from codes.explain.patterns import (
    CLIENT_ERROR,
    CURL_ERROR,
    IN_TEXT,
    JSON_FIELD,
    LOG_FIELD,
    METHOD,
    NO_COUNT,
    NO_NOUN,
    STATUS,
    Shape,
    shape,
)

MESSAGES: tuple[Shape, ...] = (
    shape(
        CURL_ERROR,
        r"""(?:\bcurl:\ \(22\)\ [^\r\n]{0,80}?error:\ (?P<http>\d{3})\b
        | \brequested\ URL\ returned\ error:?\ (?P<http2>\d{3})\b
        | \bReceived\ HTTP\ code\ (?P<http3>\d{3})\ from\ proxy
        | \bCONNECT\ tunnel\ failed,\ response\ (?P<http4>\d{3})\b)""",
        (
            "curl: (22) The requested URL returned error: 503\n"
            "fatal: The requested URL returned error: 502\n"
            "Received HTTP code 407 from proxy after CONNECT\n"
            "CONNECT tunnel failed, response 403"
        ),
        "curl: (7) Failed to connect to x.example port 503",
    ),
    shape(
        CLIENT_ERROR,
        rf"""\b(?:
            (?:failed|error|errored|rejected|responded|returned|answered|response|request|got|received|unexpected|bad)
                \ (?:\w{{1,30}}\ ){{0,3}}?(?:status|response|error)
                (?:\ ?code:?\ (?:of\ )?(?P<http>{STATUS})\b{NO_COUNT}
                    |(?::|\ of|\ code)?\ (?P<http0>{STATUS})\b{NO_COUNT}{NO_NOUN})
            | (?:http\ )?(?:status|response|return)\ code:?\ (?:is\ ?|was\ ?|of\ )?:?\ ?["'\[]?
                (?P<http2>{STATUS})\b{NO_COUNT}
            | HTTP[\ -](?:error|status|response|code|result|reply|answer|Antwort|réponse|respuesta):?\ (?:was\ |is\ )?(?:response\ |status\ )?(?:code:?\ )?
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
            | (?:HttpS?(?:Client|Server)Error|BadMessage|HttpResponse|ResponseStatus|WebApplication|Http)Exception[^\s:]{{0,60}}:\ (?P<http13>{STATUS})\b(?!\ ?%)
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
            | \bstatus\ (?P<http24>{STATUS})\ (?:was\ )?(?:returned|received|answered)\b
            | an\ error\ occurred\ \((?P<http16>[45]\d\d)\)\ when\ calling\b
        )""",
        (
            "Request failed with status code 503\n"
            "Server answered status 502\n"
            "The return code is 501\n"
            "HTTP error 504\n"
            "The remote server returned an error: (505) HTTP Version Not Supported.\n"
            "Client error '404 Not Found' for url\n"
            "ERROR 403: Forbidden.\n"
            "awaiting response... 405 Method Not Allowed\n"
            "Response status code does not indicate success: 408 (Request Timeout).\n"
            "HTTP status client error (409 Conflict) for url\n"
            "too many 500 error responses\n"
            "status 410 reading info/refs\n"
            "Response{protocol=http/1.1, code=411, message=}\n"
            "HttpClientErrorException$NotFound: 401 Unauthorized\n"
            "error code: 412\n"
            "HttpError: 413\n"
            "HTTP error! status: 414\n"
            "StatusCodeError: 415 - {}\n"
            "Layer7 wrong status, code: 416\n"
            "ServerError { code: 507\n"
            "Received 101, Switching to WebSocket\n"
            'TransportError(429, "x")\n'
            "google.api_core.exceptions.PreconditionFailed: 421 POST https://x.example/\n"
            "status 417 returned\n"
            "An error occurred (406) when calling the PutObject operation"
        ),
        "The response took 503 ms",
    ),
    shape(
        CLIENT_ERROR,
        rf"<--\ (?P<http>{STATUS})\ (?:[A-Za-z][\w ]{{0,60}}\ )?https?://",
        "<-- 503 Service Unavailable https://x.example/datafeed (12ms)",
        "<-- 503 letters",
    ),  # OkHttp
    shape(
        CLIENT_ERROR,
        rf"""\b(?:server|proxy|backend|upstream|endpoint|gateway|portal|datafeed)\ (?:returned|said|says|answered|responded|replied|sent):?[ ]
        (?P<http>[345]\d\d)\b{NO_COUNT}(?=\s*(?:\r?$|[.,;!?)]))""",
        "the server said 406",
        "the server said 406 times",
    ),
    shape(
        CLIENT_ERROR,
        rf"\b\w{{0,20}}http\w{{0,20}}(?:\.status\ ?=\ ?|\ status\ )(?P<http>{STATUS})\b{NO_COUNT}(?=\s*(?:\r?$|[.,;!?)]))",
        "oHTTP.Status = 406",
        "oHTTP.Status = 4060",
    ),  # WinHTTP, in scripts
    shape(
        CLIENT_ERROR,
        r"\b(?:request|upload|post|put|send|delivery|transfer|call|download|fetch)\ (?:failed|rejected|refused)\ \((?P<http>[45]\d\d)\)",
        "Error: Request failed (502)",
        "Request failed (502 times)",
    ),
    shape(
        LOG_FIELD,
        r"^[\ \t]{0,8}\[(?P<http>[1-5]\d\d)\][\ \t]{1,8}\d{1,12}\ responses\b",
        "  [503]\t20 responses",
        "  [503] responses",
    ),  # hey
    shape(
        CLIENT_ERROR,
        r"^(?P<http>404)\ page\ not\ found\r?$",
        "$ curl x.example/feed\n404 page not found",
        "404 pages found",
    ),  # Go's own body
    shape(
        CLIENT_ERROR,
        rf"^(?:HTTP\ )?Response:\ (?P<http>{STATUS})\r?$",
        "$ ./send\nResponse: 503",
        "Response: 503 ms",
    ),
    shape(
        CLIENT_ERROR,
        rf"<Response\ \[(?P<http>{STATUS})(?:\ [^\]\r\n]{{1,60}})?\]>",
        "<Response [503]>",
        "<Response 503>",
    ),
    shape(
        CLIENT_ERROR,
        rf"\({METHOD}\ https?://[^\s)]{{1,2000}}\)\ (?P<http>{STATUS})\b(?![.\d]\d)",
        "Error (POST https://x.example/datafeed) 503",
        "Error (POST https://x.example/datafeed) 503.5",
    ),
    shape(
        CLIENT_ERROR,
        r"(?:^|(?<=[\ ('\"\[]))(?P<http>[45]\d\d)\ (?:Client|Server)\ Error:\ [^\r\n]{1,300}",
        "503 Server Error: Service Unavailable for url: https://x.example/datafeed",
        "503 Server Errors: a list",
    ),
    shape(
        CLIENT_ERROR,
        rf"Error:\ (?P<http>{STATUS}),\ message=",
        "ContentTypeError: 503, message='Attempt to decode JSON'",
        "Error: 503 messages",
    ),
    shape(
        CLIENT_ERROR,
        r"""(?<![\w./:-])(?<!SMTP\ )(?<!FTP\ )(?<!SQL\ )error\ (?P<http>[45]\d\d)\b
        (?=\r?$|[)\]"'!?;]|\.(?:\s|$)|\ (?:\(|-\ |–\ |when\b|on\b|from\b|Ray\ ID\b))""",
        "upload: error 503 (backend is down)",
        "FTP error 503 (backend is down)",
    ),
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])HTTP[\ -](?P<http>{STATUS})\b{NO_COUNT}",
        "Upload stopped: HTTP 503",
        "Upload stopped: HTTP 503 requests",
    ),
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])HTTP:\ ?(?P<http>{STATUS})\b{NO_COUNT}(?=\r?$|[.,;!?)\]\"'](?:\s|$)|\ [-–(])",
        "Upload stopped, HTTP: 503",
        "Upload stopped, HTTP: 503 requests",
    ),
    shape(
        IN_TEXT,
        rf"""(?<![\w./:$€£-])(?P<http>{STATUS})(?:\ [A-Z][A-Za-z]{{1,20}}(?:\ [A-Z][a-z]{{1,20}}){{0,3}})?(?:,|;|\ (?:with|and|plus|/|\+))\ (?:a\ )?Stroom[\ -]Status[\ :=]\ ?
        (?P<stroom>0|[1-9]\d{{0,2}})\b{NO_COUNT}""",
        "It sent 406 with Stroom-Status 110 again.",
        "It sent £406 with Stroom-Status 110",
    ),
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])Stroom[\ -]Status[\ :=]\ ?(?P<stroom>0|[1-9]\d{{0,2}})\b{NO_COUNT}",
        "The header was Stroom-Status 110",
        "The header was Stroom-Status 110 ms",
    ),
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])Stroom\ (?P<stroom>[1-9]\d\d)\b{NO_COUNT}(?!\ [a-z]{{3,20}}s\b)",
        "They call it Stroom 310 here",
        "They run Stroom 310 instances",
    ),
    shape(  # XML
        JSON_FIELD,
        rf"""<(?:\w{{1,20}}:)?(?:http)?[_-]?(?:status|(?:status|error|response)?[_-]?code)>\s{{0,9}}(?P<http>{STATUS})\s{{0,9}}</
        |<(?:error|status|response)\s[^<>]{{0,100}}?\b(?:code|status)=["'](?P<http2>[45]\d\d)["']""",
        ('<response><statusCode>503</statusCode></response>\n<error code="404"/>'),
        "<count>503</count>",
    ),
    shape(  # other languages' words for an error or a status code
        CLIENT_ERROR,
        rf"""(?:HTTP[\ -]?(?:Fehler|hatası|状态码|エラー)
        |(?<!\w)(?:Fehler|Erreur|Ошибка|Fout|Errore|Błąd|Erro|Hata|エラー|错误|錯誤))
        (?:\ HTTP)?\ ?:?\ ?(?P<http>[45]\d\d)\b{NO_COUNT}
        |(?:c[oó]digo|code|codice|kod|код|kode)\ (?:de\ |d['’]|di\ )?(?:respuesta|statut|état|estado|stato|réponse|risposta
            |resposta|status|odpowiedzi|ответа|состояния)(?:\ HTTP)?\ ?:?\ ?(?P<http2>{STATUS})\b{NO_COUNT}
        |(?:(?<!\w)(?:HTTP-)?(?:Antwort|Status)[\ -]?code|状态码|狀態碼|ステータスコード)\ ?:?\ ?(?P<http3>{STATUS})\b{NO_COUNT}
        |(?:erreur|fehler|error|errore|erro|エラー|ошибк|błąd)[^\r\n:(]{{0,40}}:\ ?\((?P<http4>{STATUS})\)""",
        "HTTP-Fehler 503\ncódigo de estado 502\nAntwortcode: 404\nErreur du serveur : (500)",
        "Fehler 503 ms",
    ),
    shape(
        CLIENT_ERROR,
        rf"\bStatus\((?P<http>{STATUS})[,)]",
        "Err(Status(503, Response))",
        "Err(Status(5030))",
    ),  # Rust
    shape(
        CLIENT_ERROR,
        rf"\bResponse\s?\{{\s?status:\s?(?P<http>{STATUS})\b",
        "Ok(Response { status: 503, version: HTTP/1.1 })",
        "Ok(Request { status: 503 })",
    ),
    shape(
        CLIENT_ERROR,
        rf"^{METHOD}\ https?://\S{{1,2000}}\ (?P<http>{STATUS})\r?$",
        "POST https://x.example/datafeed 503",
        "POST https://x.example/datafeed in 503",
    ),
    shape(
        CLIENT_ERROR,
        r"(?<![\w./:-])(?P<http>[45]\d\d)\.\s{1,3}That[’']s\ an\ error\b",
        "404. That’s an error.",
        "404. That is all.",
    ),  # Google
    shape(
        CLIENT_ERROR,
        r"^(?P<http>[45]\d\d)\ (?-i:ERROR)\ {0,4}\r?$",
        "502 ERROR\nThe request could not be satisfied.",
        "502 ERRORS\n",
    ),  # CloudFront
    shape(
        LOG_FIELD,
        r"\b(?:code|rc)=(?P<http>[45]\d\d)\ (?:method|msg|path|proto)=",
        "at=error rc=503 method=POST path=/datafeed",
        "at=error rc=503 rows=4",
    ),
    shape(
        LOG_FIELD,
        rf'\{{(?:[^{{}}\r\n]{{0,200}},)?\ ?(?:code|status)="(?P<http>{STATUS})"',
        'http_requests_total{code="503"} 7',
        'http_requests_total{mode="503"} 7',
    ),  # Prometheus
    shape(
        LOG_FIELD,
        rf"\bprobe_http_status_code(?:\{{[^{{}}\r\n]{{0,200}}\}})?\ (?P<http>{STATUS})\b",
        'probe_http_status_code{instance="x"} 503',
        "probe_http_status_code_total 503",
    ),
    shape(
        JSON_FIELD,
        rf'"http\.(?:response\.)?status_code":\ ?\{{"intValue":\ ?"?(?P<http>{STATUS})\b',
        '{"http.response.status_code": {"intValue": "503"}}',
        '{"http.response.body_size": {"intValue": "503"}}',
    ),
    shape(
        CLIENT_ERROR,
        rf"\bHTTPStatus\.[A-Z_]{{2,40}}:\ (?P<http>{STATUS})\b",
        "HTTPStatus.SERVICE_UNAVAILABLE: 503",
        "HTTPStatus.SERVICE_UNAVAILABLE: x",
    ),
)
