"""Words that stand for a status: what servers write into pages and error logs in place of a number. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

import re
from collections.abc import Mapping

from codes.explain.bodies import BODIES
from codes.explain.patterns import SERVER_LOG, Words, shape

#: How servers name a status where its registered name is another one.
REASONS: Mapping[int, tuple[str, ...]] = {
    400: ("Bad request", "Invalid Hostname"),
    401: ("Authorization Required", "Authentication Required"),
    403: ("Access Denied", "Access Forbidden"),
    404: ("File or directory not found", "Page Not Found", "File Not Found"),
    405: ("Not Allowed", "HTTP verb used to access this page is not allowed"),
    413: ("Request too large", "Entity Too Large"),
    500: ("Server Error",),
    502: ("Proxy Error", "Web server received an invalid response"),
    599: ("Internal Exception",),
    503: (
        "Service Temporarily Unavailable",
        "Server Unavailable",
        "Backend fetch failed",
        "first byte timeout",
        "backend read error",
        "No healthy backends",
        "Backend is unhealthy",
        "Over Capacity",
    ),
    504: ("Server timeout", "Upstream timeout"),
    508: ("Resource Limit Is Reached", "Resource Limit Reached"),
}
#: How people and programs name a status in other languages.
REASONS_ABROAD: Mapping[int, tuple[str, ...]] = {
    400: ("Ungültige Anforderung", "Ungültige Anfrage", "Requête incorrecte", "Solicitud incorrecta"),
    401: ("Nicht autorisiert", "Non autorisé", "No autorizado", "Non autorizzato", "Não autorizado"),
    403: ("Unzulässig", "Verboten", "Interdit", "Prohibido", "Vietato", "Proibido", "Доступ запрещен"),
    404: ("Nicht gefunden", "Introuvable", "No encontrado", "Non trovato", "Não encontrado", "Не найдено"),
    405: ("Methode nicht zulässig", "Méthode non autorisée", "Método no permitido"),
    413: ("Entité de requête trop grande", "Anforderungsentität zu groß"),
    500: (
        "Interner Serverfehler",
        "Erreur interne du serveur",
        "Interno del servidor",
        "Errore interno del server",
    ),
    502: ("Ungültiges Gateway", "Passerelle incorrecte", "Puerta de enlace no válida"),
    503: ("Dienst nicht verfügbar", "Server nicht verfügbar", "Service indisponible", "Servicio no disponible"),
    504: ("Gateway-Timeout", "Zeitüberschreitung des Gateways", "Délai d'attente de la passerelle"),
}
#: What nginx keeps for itself, and the status that the client gets in its place.
SENT_AS: Mapping[int, int] = {494: 400, 495: 400, 496: 400, 497: 400}


def _log(code: int, pattern: str, example: str, counter_example: str) -> Words:
    return Words(code, re.compile(pattern, re.IGNORECASE | re.VERBOSE), example, counter_example, log=True)


def _page(code: int, pattern: str, example: str, counter_example: str) -> Words:
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.VERBOSE)
    return Words(code, compiled, example, counter_example, log=False)


#: In order: the first that takes a passage counts.
WORDS: tuple[Words, ...] = (
    *BODIES,
    # nginx's own pages
    _page(
        496,
        r"\bNo\ required\ SSL\ certificate\ was\ sent\b",
        "No required SSL certificate was sent",
        "No SSL is required",
    ),
    _page(495, r"\bThe\ SSL\ certificate\ error\b", "The SSL certificate error", "The SSL certificate is valid"),
    _page(
        497,
        r"\bThe\ plain\ HTTP\ request\ was\ sent\ to\ HTTPS\ port\b",
        "The plain HTTP request was sent to HTTPS port",
        "The request was sent to the HTTPS port",
    ),
    _page(
        494,
        r"\bRequest\ Header\ Or\ Cookie\ Too\ Large\b",
        "400 Request Header Or Cookie Too Large",
        "Request with a large cookie",
    ),
    # Envoy's bodies
    _page(
        503,
        r"\bupstream\ connect\ error\ or\ disconnect/reset\ before\ headers\b",
        "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        "upstream connect time",
    ),
    _page(503, r"^[<>\ \t]{0,4}no\ healthy\ upstream\b", "no healthy upstream", "one healthy upstream"),
    _page(408, r"^[<>\ \t]{0,4}stream\ timeout\s*\Z", "stream timeout", "the stream timeout is 5 s"),
    _page(504, r"^[<>\ \t]{0,4}upstream\ request\ timeout\b", "upstream request timeout", "upstream request time"),
    _page(403, r"\bRBAC:\ access\ denied\b", "RBAC: access denied", "RBAC is on"),
    _page(429, r"^local_rate_limited\b", "local_rate_limited", "a local rate"),
    # Cloudflare's own numbers, each in an answer with another status
    _page(403, r"\berror(?:\ code)?:?\ 10(?:0[6-9]|1[0-2]|20)\b", "error code: 1020", "error code: 10200"),
    _page(429, r"\berror(?:\ code)?:?\ 1015\b", "error code: 1015", "error code: 10150"),
    _page(530, r"\berror(?:\ code)?:?\ 10(?:16|33)\b", "error code: 1033", "error 10 of 33"),
    _page(500, r"\berror(?:\ code)?:?\ 110[12]\b", "Error 1101 Worker threw exception", "error 11010"),
    # nginx's error log
    _log(
        413,
        r"\bclient\ intended\ to\ send\ too\ large\ (?:chunked\ )?body\b",
        "client intended to send too large body: 9000 bytes",
        "client sent a large body",
    ),
    _log(
        504,
        r"\bupstream\ timed\ out\ \(\d{1,5}:[^)\r\n]{0,60}\)\ while\b",
        "upstream timed out (110: Connection timed out) while connecting to upstream",
        "the upstream was timed",
    ),
    _log(
        502,
        r"""\b(?:connect\(\)(?:\ to\ \S{1,200})?|recv\(\)|send\(\)|SSL_do_handshake\(\)|readv\(\)|writev\(\)
        |sendfile\(\))
        \ failed\ \([^\r\n]{0,200}?\)\ while\ (?:connecting|reading|sending|SSL\ handshaking)[^\r\n,]{0,60}\bupstream\b""",
        "connect() failed (111: Connection refused) while connecting to upstream",
        "connect() failed (111: Connection refused) while resolving",
    ),
    _log(
        499,
        r"\bclient\ (?:prematurely\ closed\ connection\b|closed\ connection,\ so\ upstream\ connection\ is\ closed\ too\b)|\b(?:recv|send|writev|sendfile)\(\)\ failed\ \([^\r\n()]{1,100}\)\ while\ sending\ (?:response\ )?to\ client\b",
        "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too",
        "client closed keepalive connection",
    ),
    _log(
        502,
        r"""\bupstream\ prematurely\ closed\ connection\ while\ reading\ response\ header
        |\bno\ live\ upstreams\ while\ connecting\ to\ upstream
        |\bupstream\ sent\ (?:too\ big|invalid|duplicate|no\ valid|unexpected|unsupported)\b
        |\bcould\ not\ be\ resolved\ \(\d{1,5}:\ [\w ]{1,60}\)""",
        "no live upstreams while connecting to upstream",
        "upstream sent a header",
    ),
    _log(
        495,
        r"\bclient\ SSL\ certificate\ verify\ error\b",
        "client SSL certificate verify error: (10:certificate has expired)",
        "client SSL certificate verified",
    ),
    _log(
        496,
        r"\bclient\ sent\ no\ required\ SSL\ certificate\b",
        "client sent no required SSL certificate",
        "client sent",
    ),
    _log(
        497,
        r"\bclient\ sent\ plain\ HTTP\ request\ to\ HTTPS\ port\b",
        "client sent plain HTTP request to HTTPS port",
        "client sent plain text",
    ),
    _log(
        494,
        r"\bclient\ sent\ (?:too\ long\ header\ line|too\ large\ request|too\ many\ headers)\b",
        'client sent too long header line: "Cookie: x"',
        "client sent a long header",
    ),
    _log(
        501,
        r"\bclient\ sent\ unknown\ \"Transfer-Encoding\"",
        'client sent unknown "Transfer-Encoding": "gzip" while reading client request headers',
        'client sent "Transfer-Encoding"',
    ),
    _log(
        405,
        r"\bclient\ sent\ (?:CONNECT|TRACE)\ (?:method|request)\b",
        "client sent TRACE method while reading client request line",
        "client sent a TRACE",
    ),
    _log(
        421,
        r"\bclient\ attempted\ to\ request\ the\ server\ name\ different\b",
        "client attempted to request the server name different from the one that was negotiated",
        "client attempted to request the page",
    ),
    _log(414, r"\bclient\ sent\ too\ long\ URI\b", "client sent too long URI while reading", "client sent a URI"),
    _log(
        400,
        r"""\bclient\ sent\ (?:invalid\ (?:method|host|header|request|http\ version|:|"|chunked)
        |HTTP/1\.[01]\ request\ with(?:out)?\ "
        |(?:duplicate|empty|more\ than\ one)\ (?:host|header|:|")|both\ "|"(?:Content-Length|:authority)"\ and\ ")
        |\bclient\ intended\ to\ send\ body\ (?:data|with)\b|\bclient\ prematurely\ closed\ stream:""",
        "client sent invalid method while reading client request line",
        "client sent valid data",
    ),
    _log(
        408,
        r"\bclient\ timed\ out\ \(\d{1,5}:[^)\r\n]{0,60}\)\ while\ reading\ client\ request\b",
        "client timed out (110: Connection timed out) while reading client request headers",
        "client timed out while waiting",
    ),
    _log(
        503,
        r"\blimiting\ (?:requests,\ excess:\ [\d.]{1,20}\ by\ zone|connections\ by\ zone)\ ",
        'limiting requests, excess: 5.6 by zone "x"',
        "limiting requests to ten",
    ),
    _log(
        500,
        r"""\brewrite\ or\ internal\ redirection\ cycle\b|\bEnd\ of\ script\ output\ before\ headers\b|\bAH(?:00124|00524):
        |\b(?:pwritev?|open|mkdir)\(\)\ "[^"\r\n]{1,300}"\ failed\ \((?:17|2[34578]|30|122):
        |\b(?:pwritev?|open|mkdir)\(\)\ "[^"\r\n]{0,250}/(?:[a-z]{1,20}_temp|body|proxy|fastcgi)/[\d/]{1,40}"\ failed\ \(""",
        "rewrite or internal redirection cycle while processing",
        "a rewrite of the rules",
    ),
    _log(
        404,
        r'\bopen\(\)\ "[^"\r\n]{1,300}"\ failed\ \((?:2|20):|\]\ File\ does\ not\ exist:|\bAH00128:',
        'open() "/srv/x" failed (2: No such file or directory)',
        'open() "/srv/x" failed (24: Too many open files)',
    ),
    _log(
        403,
        r"""\bdirectory\ index\ of\ "[^"\r\n]{1,300}"\ is\ forbidden|\baccess\ forbidden\ by\ rule\b
        |\bclient\ denied\ by\ server\ configuration\b|\bopen\(\)\ "[^"\r\n]{1,300}"\ failed\ \(13:
        |\bAH(?:01276|01630|01797|02033|02261):""",
        "access forbidden by rule",
        "access granted by rule",
    ),
    _log(
        401,
        r"""\bno\ user/password\ was\ provided\ for\ basic\ authentication
        |\buser\ "[^"\r\n]{1,100}":\ password\ mismatch
        |\buser\ "[^"\r\n]{1,100}"\ was\ not\ found\ in\b|\bAH0161[78]:""",
        'user "bob": password mismatch',
        'user "bob" signed in',
    ),
    # Apache httpd's error log
    _log(408, r"\bAH01382:", "AH01382: Request header read timeout", "AH01381: timeout"),
    _log(501, r"\bAH00135:", "AH00135: Invalid method in request", "AH00136: method"),
    # clients that have a word of their own
    _log(
        404,
        r"\bjava\.io\.FileNotFoundException:\ https?://",
        "java.io.FileNotFoundException: https://x.example/datafeed",
        "java.io.FileNotFoundException: /srv/http/x",
    ),
    # other servers
    _log(
        503,
        r"\ball\ handlers\ for\ \S{1,300}\ (?:on\ \S{1,100}\ )?are\ down\b",
        "(gw_backend.c.200) all handlers for /datafeed on .php are down.",
        "all handlers for /datafeed are up",
    ),
    _page(
        403,
        r"\bYou\ don['’]t\ have\ permission\ to\ access\ (?:[\"/]|this\ resource|the\ requested)",
        "You don't have permission to access this resource.",
        "You have permission to access this",
    ),
    _page(
        400,
        r"\bInvalid\ HTTP_HOST\ header:|^DisallowedHost\ at\ /|\bInvalid\ HTTP\ request\ received\.",
        "Invalid HTTP_HOST header: 'x'. You may need to add 'x' to ALLOWED_HOSTS.",
        "The HTTP_HOST header is valid",
    ),
    _log(
        504,
        r"\(70007\)The\ timeout\ specified\ has\ expired:[^\r\n]{0,100}?AH01102:",
        "(70007)The timeout specified has expired: AH01102: error reading status line",
        "(70007)The timeout",
    ),
    _log(
        502,
        r"\bAH(?:01102|00898):",
        "AH00898: Error reading from remote server returned by /x",
        "AH00489: Apache configured",
    ),
    _log(
        503,
        r"\bAH(?:00957|01114|00959|00940):|\bbackend\ \S{1,100}\ has\ no\ server\ available\b",
        "AH01114: HTTP: failed to make connection to backend: x",
        "AH00094: Command line",
    ),
    _log(400, r"\bAH(?:00126|01587|10244):", "AH00126: Invalid URI in request", "AH00558: httpd"),
    _log(421, r"\bAH02032:", "AH02032: Hostname a provided via SNI and hostname b provided via HTTP", "AH02031: x"),
    _log(
        414, r"\bAH00565:", "AH00565: request failed: client's request-line exceeds LimitRequestLine", "AH00566: x"
    ),
    _page(
        400,
        r"\bRequest\ body\ exceeded\ settings\.DATA_UPLOAD_MAX_MEMORY_SIZE|\bRequestDataTooBig\b",
        "RequestDataTooBig: Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.",
        "settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1",
    ),
    _log(
        413,
        r"\bRequested\ content-length\ of\ \d{1,20}\ is\ larger\ than\ the\ configured\ limit\b|\bAH01588:",
        "AH01588: Requested content-length of 9 is larger than the configured limit of 8",
        "content-length of 9",
    ),
)
#: Django's log lines name the status and the path alone: `Not Found: /x`.
DJANGO = shape(
    SERVER_LOG,
    r"""(?:^|(?<=\ ))(?P<name>(?-i:Not\ Found|Bad\ Request|Internal\ Server\ Error|Service\ Unavailable|Method\ Not\ Allowed
    |Forbidden))(?:\ \([^()\r\n]{1,80}\))?:\ (?=/)""",
    "WARNING Not Found: /favicon.ico",
    "Not Found: no file",
)
#: .NET prints a status by the name of its constant: `Response code: NotAcceptable`.
ENUM = shape(
    SERVER_LOG,
    r"""\b(?:(?:response[ ]code|(?:http[ ]?)?status[ ]?(?:code)?)[ ]?[:=][ ]?|failed[ ]with[ ])
    (?P<name>(?-i:(?:[A-Z][a-z]{1,20}){2,6}|Unauthorized|Forbidden))(?=\s*\r?$|[ ]\(|,|\.)""",
    "Response code: NotAcceptable",
    "Response code: notAcceptable",
)
#: kubectl prints the reason of the API server: `Error from server (NotFound): …`.
KUBERNETES = shape(
    SERVER_LOG,
    r"\bError\ (?:from\ server|occurred)\ \((?P<name>(?-i:[A-Z][A-Za-z]{2,40}))\)(?::|\ when\ calling\b)",
    'Error from server (NotFound): pods "x" not found',
    "Error from server: x",
)
#: stroom-proxy's error.log holds the reason of the answer, and no number.
FORWARD = shape(
    SERVER_LOG,
    r"\ -\ ForwardException\ -\ (?P<name>[A-Za-z][A-Za-z' -]{1,80})(?=\r?$)",
    "2026-12-01T10:00:00.000Z - ForwardException - Service Unavailable",
    "2026-12-01T10:00:00.000Z - ForwardException - 503",
)
