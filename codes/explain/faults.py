"""Causes by which no answer came: a client's words for a fault of the network, and what to do about each. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A cause with the words that clients have for it, an example, and a text that does not mean it."""

    sentence: str
    pattern: re.Pattern[str]
    example: str
    counter_example: str


def _fault(sentence: str, pattern: str, example: str, counter_example: str) -> Fault:
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.VERBOSE)
    return Fault(sentence, compiled, example, counter_example)


def _curl(*numbers: int) -> str:
    """Match curl's exit codes: `curl: (7) …`, `curl error 7`, `curl exited with code 7`."""
    listed = "|".join(str(number) for number in numbers)
    return rf"""\bcurl:?\ \((?:{listed})\)[^\r\n]{{0,300}}
        |\bcurl(?:_easy\w{{0,20}})?(?:\ \w{{1,10}}){{0,3}}?\ (?:error|exit|code|status|rc|returned)\ (?:code\ |status\ )?
            (?:{listed})\b(?![.\d])(?:\ ?:[^\r\n]{{0,300}})?
        |^curl:?\ (?:{listed})\b(?=\s*\Z)|\bfailed:\ curl:\ (?:{listed})\b(?=\s*$)"""


# 22 is missing: it says that there was an answer.
_OTHERS_OF_CURL = sorted(
    {*range(1, 100)}
    - {5, 6, 7, 16, 18, 22, 28, 35, 47, 51, 52, 53, 54, 55, 56, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91}
    - {92, 95, 96, 97, 98}
)

#: Errors of HTTP/3 and QUIC; the first is of a request that counts as never sent.
HTTP3_FAULTS: tuple[Fault, ...] = (
    _fault(
        "HTTP/3 ended the request before the server processed anything of it, so it counts as never sent: send it "
        "again, whatever its method. Most clients do so by themselves on a new connection.",
        r"""\bH3_REQUEST_REJECTED\b|\bERR_QUIC_(?:GOAWAY_REQUEST_CAN_BE_RETRIED|HANDSHAKE_FAILED)\b
        |\bHTTP/3\ stream\ \d{1,19}\ refused\ by\ server\b|\b0x10b\ REQUEST_REJECTED\b""",
        "HTTP/3 error code 'H3_REQUEST_REJECTED' (0x10b)",
        "REQUEST_REJECTED by the board",
    ),
    _fault(
        "This is an error of HTTP/3 or QUIC, which is none of HTTP's statuses: no answer came, or only a part of it. "
        "The request may have been processed all the same. Send again over HTTP/2 or HTTP/1.1 (curl --http1.1) to see "
        "the status; where only HTTP/3 fails, look at the firewall for UDP port 443.",
        rf"""\A\s*(?:http/?3|h3|quic)\ (?:errors?|failed|failure|protocol\ error|timeout)\s*\Z|{_curl(95, 96)}|\bERR_QUIC_\w{{1,40}}\b|\bNS_ERROR_NET_HTTP3_PROTOCOL_ERROR\b
        |\bH3_(?:[A-Z]{{1,12}}_){{0,2}}(?:ERROR|STREAM|UNEXPECTED|LOAD|SETTINGS|REJECTED|CANCELLED|INCOMPLETE|REQUEST|FALLBACK)\b
        |\bCRYPTO_ERROR\ 0x1[0-9a-f]{{2}}\b|\bHTTP/3\ stream\ \d{{1,19}}\ (?:reset\ by\ server|was\ closed\ cleanly)\b
        |\bQUIC\ connection\ (?:error|is\ draining|lacks)\b|\bQuicException\b|\bH3\ error\ \(0x[\da-f]{{1,16}}\)
        |\bApplication\ error\ 0x(?:1[01][\da-f]|20[0-2])\ \((?:remote|local)\)
        |\btimeout:\ (?:no\ recent\ network\ activity|handshake\ did\ not\ complete\ in\ time)\b|\bretried\ on\ an\ older\ HTTP\ version\b""",
        "HTTP/3 error code 'H3_REQUEST_CANCELLED' (0x10c)",
        "served over HTTP/3 by h3_frontend",
    ),
)
FAULTS: tuple[Fault, ...] = (
    _fault(
        "The browser refused to show the answer to a page of another site (CORS), or no answer came. The "
        "status is "
        "in the browser's network panel; look also at the OPTIONS request before it. The server has to allow the "
        "page's origin.",
        r"""^cors(?=\s*\Z)|\A\s*(?:cors\ (?:error|policy|preflight|blocked|issue|problem|header)|preflight(?:\ request)?)s?(?:\ (?:failed|error|blocked))?\s*\Z|\bnet::ERR_FAILED\b|\bblocked\ by\ CORS\ policy\b|\bCross-Origin\ Request\ Blocked\b|\bCORS\ error\b
        |\bNetworkError\ when\ attempting\ to\ fetch|\bFailed\ to\ fetch\b
        |\bTypeError:\ (?:fetch\ failed|Load\ failed)
        |\bAxiosError:\ Network\ Error\b""",
        "TypeError: Failed to fetch",
        "The policy of CORS in short",
    ),
    _fault(
        "The name of the server was not found. Check the host name for a typing error, then name resolution (DNS).",
        rf"""{_curl(5, 6)}|\A\s*(?:(?:dns|name\ resolution)(?:\ (?:error|failure|failed))?|(?:host|server)\ (?:name\ )?not\ found|unknown\ host)\s*\Z|\bcould\ not\ look\ up\ host\b|\bRemotename\ konnte\ nicht\ aufgelöst\b|\bnom\ distant\ n['’]a\ pas\ pu\ être\ résolu\b
        |\bno\ se\ puede\ resolver\ el\ nombre\ remoto\b|\bE(?:NOTFOUND|AI_AGAIN)\b|\bUnknownHostException\b
        |\b(?:could|can)\ ?not\ resolve\ host\b
        |\b(?:unable|failed)\ to\ resolve\ host\b|\bname\ or\ service\ not\ known\b|\bno\ such\ host\b
        |\bremote\ name\ could\ not\ be\ resolved\b|\bERR_NAME_NOT_RESOLVED\b|\bDNS_PROBE_\w{{1,30}}|\bdns\ error:
        |\bfailed\ to\ lookup\ address\b|\bgetaddrinfo(?:\ failed)?:|\bNS_ERROR_UNKNOWN_HOST\b
        |\bwget:\ bad\ address\b
        |\btemporary\ failure\ in\ name\ resolution\b|\bnodename\ nor\ servname\b|\bWinError\ 1100[1-4]\b""",
        "curl: (6) Could not resolve host: stroom.example",
        "the host name of this machine",
    ),
    _fault(
        "The TLS connection failed: a certificate was not trusted, has expired or is missing, or the two "
        "sides share "
        "no protocol. Check the server's certificate, your list of authorities, and your own certificate and key.",
        rf"""{_curl(35, 51, 53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91, 98)}|\A\s*(?:tls|ssl)\ (?:handshake|error|alert|failure)(?:\ (?:failed|failure|error))?\s*\Z|\bERR_BAD_SSL_\w{{1,40}}|\bAH0(?:2039|2008|1998):|\bcannot\ verify\ [\w.-]{{1,200}}'s\ certificate\b|\bTLS\ alert,\ (?!close\ notify)\w|\balert\ handshake\ failure\b
        |\bSSL\ handshake\ failure\b|\bwhile\ SSL\ handshaking,|\bbefore\ secure\ TLS\ connection\ was\ established\b
        |\bUnable\ to\ (?:establish\ SSL\ connection|locally\ verify\ the\ issuer)\b|\bConnectorCertificateError\b|\bCertificate(?:Expired|NotYetValid)Exception\b
        |\btls:\ certificate\ required\b|\bverify\ SSL\ peers\b|\bSSL\ negotiation\ failed\b|\bremote\ certificate\ (?:is\ invalid|was\ rejected)\b
        |\bunable\ to\ get\ local\ issuer\ certificate\b|\balert\ (?:bad\ certificate|unknown\ ca|certificate\ (?:expired|required|revoked|unknown)|protocol\ version)\b
        |\bSSLHandshakeException\b
        |\bPKIX\ path\b|\bSSLPeerUnverifiedException\b|\bCERTIFICATE_VERIFY_FAILED\b|\bcertificate\ verify\ failed\b|\bx509:
        |\btls:\ (?:bad|handshake|failed|unknown|protocol|first)|\bTLS\ handshake\ timeout\b
        |\bgave\ HTTP\ response\ to\ HTTPS\ client\b|\b(?:NET::)?ERR_(?:CERT|SSL)_\w{{1,40}}
        |\b(?:SEC_ERROR|SSL_ERROR|MOZILLA_PKIX_ERROR|PR_END_OF_FILE_ERROR)\w{{0,40}}
        |\bSSL\ connection\ could\ not\ be\ established\b|\btrust\ relationship\ for\ the\ SSL
        |\bcould\ not\ create\ SSL/TLS\ secure\ channel\b|\bself[- ]signed\ certificate\b
        |\bUNABLE_TO_(?:VERIFY|GET_ISSUER)\w{{0,40}}|\bunable\ to\ verify\ the\ first\ certificate\b
        |\bCERT_HAS_EXPIRED\b|\bDEPTH_ZERO_SELF_SIGNED_CERT\b|\bERR_TLS_\w{{1,40}}|\bEPROTO\b
        |\bSSL:\ WRONG_VERSION_NUMBER\b|\bSSL\ certificate\ problem:|\bSSLError\b|\bSSLException\b""",
        "javax.net.ssl.SSLHandshakeException: PKIX path building failed",
        "the TLS certificate of feed X was renewed",
    ),
    _fault(
        "The server's address refused the connection: nothing listens on that port, or a firewall rejects it. "
        "Check "
        "address, port and scheme, and whether the server runs.",
        rf"""{_curl(7)}|\b(?:Firefox|Safari)\ can[’']t\ (?:establish\ a\ connection|connect)\ to\ the\ server\b|\bconnection\ with\ the\ server\ could\ not\ be\ established\b|\bCannot\ connect\ to\ host\b|\bConnectionRefused\b
        |\btcp\ connect\ error\b|\bVerbindung\ (?:verweigert|abgelehnt)|\bVerbindung(?:saufbau)?\ (?:verweigert|abgelehnt)\b
        |\bZielcomputer\ die\ Verbindung\ verweigerte\b|\bRemoteserver\ kann\ nicht\ hergestellt\ werden\b|\bConnexion\ refusée\b
        |\bImpossible\ de\ se\ connecter\ au\ serveur\ distant\b|\bConexión\ (?:rechazada|rehusada)\b|\bNo\ es\ posible\ conectar\ con\ el\ servidor\ remoto\b
        |\bConnessione\ rifiutata\b|\bImpossibile\ effettuare\ la\ connessione\ al\ server\ remoto\b|\bConexão\ recusada\b
        |\bLayer4\ (?:connection\ problem|unreachable)\b|\bECONNREFUSED\b|\bconnection\ refused\b|\bConnectionRefusedError\b
        |\bERR_(?:CONNECTION_REFUSED|ADDRESS_UNREACHABLE|INTERNET_DISCONNECTED|PROXY_CONNECTION_FAILED|NETWORK_\w{{1,20}})\b
        |\bNS_ERROR_(?:CONNECTION|PROXY_CONNECTION)_REFUSED\b|\bactively\ refused\ it\b|\bWinError\ 1006[15]\b
        |\bunable\ to\ connect\ to\ the\ remote\ server\b|\bno\ route\ to\ host\b|\bE(?:HOSTUNREACH|NETUNREACH)\b
        |\bNoRouteToHostException\b|\bnetwork\ is\ unreachable\b|^500\ Can't\ connect\ to\b|\berrno\ 11[13]\b
        |\bHttpHostConnectException\b|\bcould\ not\ get\ response\b|\b(?:Errno|os\ error)\ ?\(?111\b""",
        "java.net.ConnectException: Connection refused",
        "they refused the offer",
    ),
    _fault(
        "No answer came in time: the server or the way to it was too slow, or a firewall drops packets. The "
        "delivery "
        "may have arrived all the same. Wait longer, and send smaller files.",
        rf"""{_curl(28)}|\bTimeout\ awaiting\ 'request'|\basyncio\.exceptions\.TimeoutError\b|\bconnect\ timed\ out\b|\bClient\.Timeout\ exceeded\b
        |\bOpenTimeout\b|\bsocket\.timeout\b|\bCall\ timed\ out:|\b\w{{0,60}}(?:Http|Request)TimeoutException\b|\bLayer[467]\ timeout\b|\bIdle\ timeout\ expired:|\bTimed\ out\ connecting\ to\ server\b|\bexecution\ expired\b|\bTimeout\ was\ reached\b|\bRequest\ timed\ out\ \(
        |\bProblem:\ timeout\.\ Will\ retry\b|\bZeitlimit\ für\ den\ Vorgang\b|\bZeitüberschreitung\b|\bdélai\ d['’]attente\ (?:de\ l['’]opération\ )?(?:a\ )?(?:été\ )?(?:dépassé|expiré)\b
        |\bConnexion\ terminée\ par\ expiration\b|\bExpiró\ el\ tiempo\b|\btempo\ limite\b|\bETIMEDOUT\b|\bESOCKETTIMEDOUT\b|\bconnection\ timed\ out\b|\bSocketTimeoutException\b
        |\bConnectTimeout(?:Error)?\b|\bReadTimeout(?:Error)?\b|\bHttp(?:Connect)?TimeoutException\b
        |\bread\ timed\ out\b
        |\bread\ operation\ timed\ out\b|^500\ read\ timeout\b|\bi/o\ timeout\b|\bcontext\ deadline\ exceeded\b
        |\bNet::(?:Open|Read|Write)Timeout\b|\boperation\ (?:has\ )?timed\ out\b|\bERR_(?:CONNECTION_)?TIMED_OUT\b
        |\bUND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT\b|\bHttpClient\.Timeout\b|\bWinError\ 10060\b|\berrno\ 110\b
        |\bdid\ not\ properly\ respond\ after\b|\bNS_ERROR_NET_TIMEOUT\b|\bECONNABORTED\b|\bos\ error\ 110\b""",
        "java.net.SocketTimeoutException: Read timed out",
        "the time was out of the usual range",
    ),
    _fault(
        "The connection was closed before an answer came: by the server, a proxy or a firewall, often because of "
        "the size of the body or a missing certificate. Look into the log of the nearest proxy at that time.",
        rf"""{_curl(16, 18, 52, 55, 56, 92, 97)}|\A\s*empty\ reply\s*\Z|\bunexpectedly\ dropped\ the\ connection\b|\bIncompleteRead\b|\bServer\ ?disconnected\b
        |\bServerDisconnectedError\b|\bstream\ was\ reset\b|\bStreamResetException\b|\bheader\ parser\ received\ no\ bytes\b|\bEOFException:\ \\n\ not\ found
        |\bhttpx\.(?:Read|Write|Close|RemoteProtocol)Error\b|\bBadStatusLine\b|\bError\ writing\ to\ server\b|\bServer\ rejected\ operation\b
        |\bstream\ error:\ stream\ ID\ \d|\bclient\ connection\ lost\b|\bClosedChannelException\b|\bEofException\b|\bEarly\ EOF\b|\bprematurely\ closed\ BEFORE\ response\b|\bserver\ closed\ idle\ connection\b|\bserver\ sent\ GOAWAY\b
        |\bhyper::Error\(IncompleteMessage\)|\bconnection\ closed\ before\ message\ completed\b|^EOFError:\ end\ of\ file\ reached
        |\bServer\ closed\ connection\ without\ sending\b|\bresponse\ ended\ prematurely\b|\bconnection\ was\ closed\ unexpectedly\b
        |\bKommunikationspartner\ zurückgesetzt\b|\bVerbindung\ wurde\ (?:zurückgesetzt|geschlossen|unterbrochen)\b|\bConnexion\ ré-?initialisée\b
        |\bConexión\ reinicializada\b|\bECONNRESET\b|\bEPIPE\b|\bbroken\ ?pipe\b
        |\bsocket\ hang\ up\b
        |\bconnection\ (?:was\ )?(?:reset|aborted)\b|\bConnectionResetError\b|\bempty\ reply\ from\ server\b
        |\bRemoteDisconnected\b|\bRemote\ end\ closed\ connection\b|\bNoHttpResponseException\b
        |\bfailed\ to\ respond\b
        |\bunexpected\ end\ of\ file\ from\ server\b|\bforcibly\ closed\ by\ the\ remote\ host\b
        |\bWinError\ 1005[34]\b
        |\bunderlying\ connection\ was\ closed\b|\bERR_(?:CONNECTION_(?:RESET|CLOSED|ABORTED)
        |EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|CONTENT_LENGTH_MISMATCH|HTTP2_\w{{1,40}})\b
        |\bNS_ERROR_NET_(?:RESET|INTERRUPT)\b|\berrno\ (?:32|104)\b|\bos\ error\ (?:32|104)\b
        |\bno\ data\ received\b
        |^(?:Post|Get|Put)\ "https?://[^"\r\n]{{1,300}}":\ (?:unexpected\ )?EOF\b|\bother\ side\ closed\b""",
        "curl: (52) Empty reply from server",
        "a reset of the counter",
    ),
    *HTTP3_FAULTS,
    _fault(
        "The client followed redirects in a circle and gave up, so it shows no final status. Look at the Location "
        "headers with curl -v, and send to the last address that is right.",
        rf"""{_curl(47)}|\bERR_TOO_MANY_REDIRECTS\b|\bstopped\ after\ \d{{1,3}}\ redirects\b|\bExceeded\ (?:\d{{1,3}}\ redirects|maxRedirects)\b
        |\bmaximum\ (?:number\ of\ )?redirects?\ (?:followed|exceeded|reached)\b|\bredirected\ you\ too\ many\ times\b""",
        "curl: (47) Maximum (50) redirects followed",
        "a redirect to 47 Main Street",
    ),
    _fault(
        "This is a status of gRPC, which is none of HTTP. UNAVAILABLE (14) and DEADLINE_EXCEEDED (4) pass: send again "
        "later. UNAUTHENTICATED (16) and PERMISSION_DENIED (7) need other credentials.",
        r"""\A\s*grpc\ (?:status\ |code\ |error\ )?(?:[1-9]|1[0-6])\s*\Z|\brpc\ error:\ code\ =\ [A-Z]\w{2,30}|\bgrpc-status:\ ?[1-9]\d?\b|\bStatusRuntimeException:\ [A-Z_]{4,30}""",
        "rpc error: code = Unavailable desc = transport is closing",
        "the rpc error count",
    ),
    _fault(
        "This is a close code of WebSocket, which is no HTTP status. 1006 says that the connection ended without a "
        "word: look at the status of the handshake, which the browser's network panel shows, and at timeouts of proxies.",
        r"""\bWebSocket\ (?:1\d{3}|[34]\d{3})\b|\b(?:WebSocket|ws)\b[^\r\n\d]{0,60}\b(?:code|closed)[:=\ ]{1,3}\(?(?:1\d{3}|[34]\d{3})\b
        |\bCloseEvent\b[^\r\n]{0,40}?\bcode:\ ?(?:1\d{3}|[34]\d{3})\b|\bcode:?\ 1006\b""",
        "WebSocket closed with code 1006",
        "the code 10061",
    ),
    _fault(
        "curl stopped by itself before an answer came. Its own message says why; its exit code is no HTTP status.",
        rf"{_curl(*_OTHERS_OF_CURL)}",
        "curl: (3) URL using bad/illegal format or missing URL",
        "curl 7.88.1 is installed",
    ),
)


#: An exit code of curl that says that there was an answer.
GAVE_UP = _fault(
    "curl's exit code 22 says that with -f it gave up on a status from 400 up: its message shows the number, and that "
    "says what to do.",
    _curl(22),
    "curl exited with code 22",
    "22 curl processes",
)


def cause_of(passage: str) -> str:
    """Return the sentence about the first cause that a passage names; empty where it names none."""
    return next((fault.sentence for fault in FAULTS if fault.pattern.search(passage)), "")
