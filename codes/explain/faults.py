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
        |^curl:?\ (?:{listed})\b(?=\s*\Z)"""


FAULTS: tuple[Fault, ...] = (
    _fault(
        "The browser refused to show the answer to a page of another site (CORS), or no answer came. The "
        "status is "
        "in the browser's network panel; look also at the OPTIONS request before it. The server has to allow the "
        "page's origin.",
        r"""^cors(?=\s*\Z)|\bblocked\ by\ CORS\ policy\b|\bCross-Origin\ Request\ Blocked\b|\bCORS\ error\b
        |\bNetworkError\ when\ attempting\ to\ fetch|\bFailed\ to\ fetch\b
        |\bTypeError:\ (?:fetch\ failed|Load\ failed)
        |\bAxiosError:\ Network\ Error\b""",
        "TypeError: Failed to fetch",
        "The policy of CORS in short",
    ),
    _fault(
        "The name of the server was not found. Check the host name for a typing error, then name resolution (DNS).",
        rf"""{_curl(5, 6)}|\bE(?:NOTFOUND|AI_AGAIN)\b|\bUnknownHostException\b
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
        rf"""{_curl(35, 51, 53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91)}|\bSSLHandshakeException\b
        |\bPKIX\ path\b|\bCERTIFICATE_VERIFY_FAILED\b|\bcertificate\ verify\ failed\b|\bx509:
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
        rf"""{_curl(7)}|\bECONNREFUSED\b|\bconnection\ refused\b|\bConnectionRefusedError\b
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
        rf"""{_curl(28)}|\bETIMEDOUT\b|\bESOCKETTIMEDOUT\b|\bconnection\ timed\ out\b|\bSocketTimeoutException\b
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
        rf"""{_curl(16, 18, 52, 55, 56, 92, 95, 97)}|\bECONNRESET\b|\bEPIPE\b|\bbroken\ ?pipe\b
        |\bsocket\ hang\ up\b
        |\bconnection\ (?:was\ )?(?:reset|aborted)\b|\bConnectionResetError\b|\bempty\ reply\ from\ server\b
        |\bRemoteDisconnected\b|\bRemote\ end\ closed\ connection\b|\bNoHttpResponseException\b
        |\bfailed\ to\ respond\b
        |\bunexpected\ end\ of\ file\ from\ server\b|\bforcibly\ closed\ by\ the\ remote\ host\b
        |\bWinError\ 1005[34]\b
        |\bunderlying\ connection\ was\ closed\b|\bERR_(?:CONNECTION_(?:RESET|CLOSED|ABORTED)
        |EMPTY_RESPONSE|HTTP2_\w{{1,40}}|QUIC_\w{{1,40}})\b
        |\bNS_ERROR_NET_(?:RESET|INTERRUPT)\b|\berrno\ (?:32|104)\b|\bos\ error\ (?:32|104)\b
        |\bno\ data\ received\b
        |^(?:Post|Get|Put)\ "https?://[^"\r\n]{{1,300}}":\ (?:unexpected\ )?EOF\b|\bother\ side\ closed\b""",
        "curl: (52) Empty reply from server",
        "a reset of the counter",
    ),
    _fault(
        "The client followed redirects in a circle and gave up, so it shows no final status. Look at the Location "
        "headers with curl -v, and send to the last address that is right.",
        rf"{_curl(47)}",
        "curl: (47) Maximum (50) redirects followed",
        "a redirect to 47 Main Street",
    ),
    _fault(
        "curl stopped by itself before an answer came. Its own message says why; its exit code is no HTTP status.",
        rf"{_curl(1, 2, 3, 4, 8, 23, 26, 27, 34, 36, 37, 43, 48, 61, 63, 65, 67, 78, 88, 94, 96)}",
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
