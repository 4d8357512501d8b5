"""The recogniser against what servers, proxies and clients really write, with the names of the real catalogue."""

import itertools
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codes.catalogue.reader import read_catalogue
from codes.explain.findings import HTTP, STROOM, Vocabulary
from codes.explain.pairing import pair_up
from codes.explain.recognise import recognise
from codes.explain.vocabulary import vocabulary_of
from codes.loading import DATA_DIRECTORY

VOCABULARY: Vocabulary = vocabulary_of(read_catalogue(DATA_DIRECTORY))

IIS = r"""#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) \
sc-status sc-substatus sc-win32-status time-taken
2026-02-24 18:10:27 10.0.0.1 GET /app/200/ x=500 443 - 10.1.1.1 Mozilla/5.0+(Windows+NT+10.0) - 404 0 2 15
2026-02-24 18:10:28 10.0.0.1 POST /app/ - 443 bob 10.1.1.1 curl/8 - 503 2 0 203
""".replace("\\\n", "")
BLUECOAT = """#Fields: date time time-taken c-ip sc-status s-action cs(User-Agent) x-virus-id
2026-05-04 17:16:12 300 45.110.2.82 407 TCP_DENIED "Mozilla/4.0 (compatible; MSIE 500)" -
"""
CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status\n"
    "2026-02-24\t18:10:27\tLHR61\t500\t10.1.2.3\tGET\td1.example.net\t/200\t502\n"
)
ALB = (
    "https 2026-07-02T22:23:00.186641Z app/my-lb/50dc6c49 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 "
    '502 503 34 366 "GET https://www.example.com:443/200 HTTP/1.1" "curl/7.46.0" TLS12 TLSv1.2 arn "Root=1" "-"'
)
ALB_ALONE = (
    "http 2026-07-02T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 - -1 -1 -1 "
    '503 - 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn "Root=1" "-"'
)
CLASSIC_ELB = (
    "2026-05-13T23:39:43.945958Z my-lb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 504 504 0 29 "
    '"GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -'
)
S3 = (
    "79a59df900b949e5 bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.3 79a59df900b949e5 3E57427F3 REST.GET.OBJECT key "
    '"GET /bucket/key?x=500 HTTP/1.1" 403 AccessDenied 113 - 7 - "-" "S3Console/0.4" -'
)
HAPROXY = (
    "Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2026:12:14:14.655] http-in static/srv1 "
    '10/0/30/69/109 503 2750 - - SC-- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"'
)
CADDY = (
    '{"level":"info","ts":1646861401.52,"logger":"http.log.access","msg":"handled request","request":'
    '{"method":"GET","uri":"/404"},"duration":0.0009,"size":10900,"status":500,"resp_headers":{"Server":["Caddy"]}}'
)
ENVOY_JSON = (
    '{"response_code":"503","response_flags":"UF","bytes_sent":"200","duration":"300","upstream_host":null}'
)
ENVOY_TEXT = (
    '[2026-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 504 UT 154 0 226 100 "10.0.35.28" "nsq" "cc21"'
)
NGINX_JSON = (
    '{"time_iso8601":"2026-02-24T18:10:27+00:00","request":"GET /404 HTTP/1.1","status":"502",'
    '"body_bytes_sent":"157","upstream_status":"502"}'
)
TRAEFIK = '{"DownstreamStatus":502,"OriginStatus":0,"Duration":300,"RequestPath":"/404"}'
PROXY_NEW = (
    "REJECT,/stroom/datafeed,406,110,0000013735930_0000_P_node1,200,12,Feed is not set to receive data,"
    '"Feed=ODD-FEED","System=S"'
)
PROXY_QUOTED = (
    '2026-02-24T18:10:27.192Z "SEND","https://stroom/datafeed",200,0,"1771956627189_0001_P_p1",5000,31,"",'
)
PROXY_OLD = 'SEND,https://stroom.example/stroom/datafeed,401,0,31,Client Certificate Required,"Feed=X"'
CURL_FAIL = """*   Trying 10.0.0.200:443...
* ALPN: server accepted h2
> PUT /datafeed HTTP/2
> Content-Length: 503
> Expect: 100-continue
>
< HTTP/1.1 100 Continue
* We are completely uploaded and fine
< HTTP/2 413
< stroom-status: 410
* The requested URL returned error: 413
* Connection #0 to host portal left intact
curl: (22) The requested URL returned error: 413
"""
REDIRECTED = """HTTP/1.1 301 Moved Permanently
Location: https://example.org/

HTTP/2 200
content-type: text/html

"""
SEND_TO_STROOM = """Error: Unable to send file /var/log/a.log, response code was: 401, error was :
Stroom Status 300 - Client Certificate Required [Feed: X]
This feed takes data only over HTTPS with a client certificate.
"""
WRITE_OUT = "Stroom Status 200 - Unknown compression [Feed: X, Compression: RAR]\nRESPONSE_CODE=406"
PROBLEM = '{"type": "/codes/http/400/", "title": "Bad Request", "status": 400, "detail": "limit: at most 500"}'
FEED_STATUS = (
    '{"status":"Reject","message":"Client Certificate not authorised",'
    '"stroomStatusCode":"CLIENT_CERTIFICATE_NOT_AUTHENTICATED"}'
)
KUBERNETES = '{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}'
APACHE_CLIENT = 'DEBUG http-outgoing-0 << "HTTP/1.1 420 Enhance Your Calm[\\r][\\n]"'

FORMATS = [
    ("An error occurred (404) when calling the HeadObject operation: Not Found", [(HTTP, 404)]),
    ('<HttpError 403 when requesting https://api.example/x returned "Forbidden">', [(HTTP, 403)]),
    ("ERROR:access:500 GET /datafeed (127.0.0.1) 5.03ms", [(HTTP, 500)]),
    ("the answer was status: 406 and Stroom Status 110", [(HTTP, 406), (STROOM, 110)]),
    ("error: 310 client certificate not authorised", [(STROOM, 310)]),
    # logs of servers and proxies
    (
        '10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "GET /a?x=200 HTTP/1.1" 499 0 "-" "Agent 500" "10.9.9.9"',
        [(HTTP, 499)],
    ),
    (
        'example.org:443 10.1.2.3 - bob [24/Feb/2026:18:10:27 +0000] "GET / HTTP/1.1" 200 404 "-" "UA"',
        [(HTTP, 200)],
    ),
    ('web-1  | 10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "GET / HTTP/1.1" 502 559', [(HTTP, 502)]),
    (
        'Feb 24 18:10:27 host nginx[300]: 10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "GET / HTTP/1.1" 504 1',
        [(HTTP, 504)],
    ),
    (r'10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "GET /\"404\" HTTP/1.1" 403 5', [(HTTP, 403)]),
    ('10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "\\x16\\x03\\x01" 400 157 "-" "-"', [(HTTP, 400)]),
    (IIS, [(HTTP, 404), (HTTP, 503)]),
    (IIS.splitlines()[3], [(HTTP, 404)]),
    (BLUECOAT, [(HTTP, 407)]),
    (CLOUDFRONT, [(HTTP, 502)]),
    (ALB, [(HTTP, 502), (HTTP, 503)]),
    (ALB_ALONE, [(HTTP, 503)]),
    (CLASSIC_ELB, [(HTTP, 504)]),
    (S3, [(HTTP, 403)]),
    (HAPROXY, [(HTTP, 503)]),
    (CADDY, [(HTTP, 500)]),
    (ENVOY_JSON, [(HTTP, 503)]),
    (ENVOY_TEXT, [(HTTP, 504)]),
    (NGINX_JSON, [(HTTP, 502), (HTTP, 502)]),
    (TRAEFIK, [(HTTP, 502)]),
    (
        "1286536309.450    120 192.168.1.1 TCP_MISS/404 507 GET http://example.org/200 - DIRECT/1.2.3.4",
        [(HTTP, 404)],
    ),
    ('INFO:     127.0.0.1:50200 - "POST /datafeed HTTP/1.1" 406 Not Acceptable', [(HTTP, 406)]),
    ('127.0.0.1 - - [21/Nov/2026 10:00:00] "GET /200 HTTP/1.1" 404 -', [(HTTP, 404)]),
    ('[21/Nov/2026 10:00:00] "GET /admin/ HTTP/1.1" 302 0', [(HTTP, 302)]),
    ('[GIN] 2026/02/24 - 18:10:27 | 404 |     1.2ms |  127.0.0.1 | GET      "/x"', [(HTTP, 404)]),
    ("GET /users/200 404 1.234 ms - 13", [(HTTP, 404)]),
    ("Completed 422 Unprocessable Entity in 12ms (Views: 200.1ms)", [(HTTP, 422)]),
    ('at=error code=H12 desc="Request timeout" method=GET path="/" status=503 bytes=0', [(HTTP, 503)]),
    ('{"http.response.status_code":429,"event.duration":500}', [(HTTP, 429)]),
    ('{"msg":"x","res":{"statusCode":404},"responseTime":200}', [(HTTP, 404)]),
    ('{"EdgeResponseStatus":524,"EdgeResponseBytes":500}', [(HTTP, 524)]),
    (PROXY_NEW, [(HTTP, 406), (STROOM, 110)]),
    (PROXY_QUOTED, [(HTTP, 200), (STROOM, 0)]),
    (PROXY_OLD, [(HTTP, 401)]),
    ('{"status":406,"stroom_status":110,"feed":"X"}', [(HTTP, 406), (STROOM, 110)]),
    ("level=warning feed=X stroom_status=310 http_status=401 bytes=500", [(STROOM, 310), (HTTP, 401)]),
    # curl
    (CURL_FAIL, [(HTTP, 100), (HTTP, 413), (STROOM, 410), (HTTP, 413), (HTTP, 413)]),
    (REDIRECTED, [(HTTP, 301), (HTTP, 200)]),
    ("curl: (56) Received HTTP code 407 from proxy after CONNECT", [(HTTP, 407)]),
    ("curl: (7) CONNECT tunnel failed, response 403", [(HTTP, 403)]),
    ("12:00:00.123456 < HTTP/1.1 404 Not Found", [(HTTP, 404)]),
    ("<= Recv header, 24 bytes (0x18)\n0000: HTTP/1.1 404 Not Found", [(HTTP, 404)]),
    ("http_code: 404\ntime_total: 0.500", [(HTTP, 404)]),
    ('{"http_code":404,"size_download":500,"response_code":404}', [(HTTP, 404), (HTTP, 404)]),
    ("HTTPSTATUS:503", [(HTTP, 503)]),
    (SEND_TO_STROOM, [(HTTP, 401), (STROOM, 300)]),
    (WRITE_OUT, [(STROOM, 200), (HTTP, 406)]),
    # clients
    ("<Response [404]>", [(HTTP, 404)]),
    ("<Response [404 Not Found]>", [(HTTP, 404)]),
    ('HTTP Request: GET https://example.org/200 "HTTP/1.1 404 Not Found"', [(HTTP, 404)]),
    (
        "aiohttp.client_exceptions.ClientResponseError: 404, message='Not Found', url=URL('http://x/500')",
        [(HTTP, 404)],
    ),
    (
        "MaxRetryError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded (Caused by "
        "ResponseError('too many 503 error responses'))",
        [(HTTP, 503)],
    ),
    ('DEBUG:urllib3.connectionpool:https://x:443 "POST /datafeed HTTP/1.1" 406 120', [(HTTP, 406)]),
    ("(POST http://localhost:8000/datafeed) 406", [(HTTP, 406)]),
    ("org.springframework.web.client.HttpClientErrorException$NotFound: 404 Not Found: [no body]", [(HTTP, 404)]),
    ("org.springframework.web.client.HttpServerErrorException: 503 null", [(HTTP, 503)]),
    ("feign.FeignException$NotFound: [404 Not Found] during [GET] to [http://x/500]", [(HTTP, 404)]),
    ("feign.FeignException: status 503 reading Client#get(); content: x", [(HTTP, 503)]),
    ("javax.ws.rs.NotFoundException: HTTP 404 Not Found", [(HTTP, 404)]),
    ("Response{protocol=http/1.1, code=404, message=Not Found, url=http://x/500}", [(HTTP, 404)]),
    (
        "InboundJaxrsResponse{context=ClientResponse{method=POST, uri=http://x/, status=406, reason=X}}",
        [(HTTP, 406)],
    ),
    (APACHE_CLIENT, [(HTTP, 420)]),
    ("org.apache.http.client.HttpResponseException: status code: 404, reason phrase: gone fishing", [(HTTP, 404)]),
    ("Return code is: 503 , ReasonPhrase: Service Unavailable.", [(HTTP, 503)]),
    ("unexpected HTTP status 404 Not Found", [(HTTP, 404)]),
    ("server returned HTTP status 401 Unauthorized", [(HTTP, 401)]),
    ("bad status: 502 Bad Gateway", [(HTTP, 502)]),
    ("panic: unexpected status code: 503", [(HTTP, 503)]),
    ("Error: Unexpected server response: 503", [(HTTP, 503)]),
    ("ResponseStatusCodeError: Response status code 404", [(HTTP, 404)]),
    ("Failed to load resource: the server responded with a status of 404 (Not Found)", [(HTTP, 404)]),
    ("XHRGET http://example.org/500 [HTTP/1.1 404 Not Found 12ms]", [(HTTP, 404)]),
    ("reqwest::Error: HTTP status server error (520 <unknown status code>) for url (http://x/)", [(HTTP, 520)]),
    ("Response status code does not indicate success: 404 (Not Found).", [(HTTP, 404)]),
    ("StatusCode        : 404\nStatusDescription : Nothing here", [(HTTP, 404)]),
    ("The remote server returned an unexpected response: (413) Request Entity Too Large.", [(HTTP, 413)]),
    ("--2026-02-24 18:10:27--  HTTP request sent, awaiting response... 503 Service Unavailable", [(HTTP, 503)]),
    ("HTTP ERROR response 404  [http://example.org/500]", [(HTTP, 404)]),
    ("fatal: unable to access 'https://example.org/x.git/': The requested URL returned error: 403", [(HTTP, 403)]),
    ("error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413", [(HTTP, 413), (HTTP, 413)]),
    ("E: Failed to fetch http://example.org/x  404  Not Found [IP: 10.1.1.1 80]", [(HTTP, 404)]),
    ("npm ERR! 404 Not Found - GET https://registry.example/x", [(HTTP, 404)]),
    ("Client error: `GET http://x/` resulted in a `404 Not Found` response", [(HTTP, 404)]),
    ("failed to open stream: HTTP request failed! HTTP/1.1 404 Not Found", [(HTTP, 404)]),
    # bodies and pages
    (PROBLEM, [(HTTP, 400)]),
    ('{"error": {"code": 403, "message": "Forbidden", "status": "PERMISSION_DENIED"}}', [(HTTP, 403)]),
    (KUBERNETES, [(HTTP, 404)]),
    (FEED_STATUS, [(STROOM, 310), (STROOM, 310)]),
    (
        '{"status":"Reject","message":"Feed must be specified","stroomStatusCode":"FEED_MUST_BE_SPECIFIED"}',
        [(STROOM, 100), (STROOM, 100)],
    ),
    ("<center><h1>413 Request Entity Too Large</h1></center><hr><center>nginx/1.24.0</center>", [(HTTP, 413)]),
    ("<h1>HTTP Status 404 – Not Found</h1>", [(HTTP, 404)]),
    ("HTTP Error 404.0 - Not Found", [(HTTP, 404)]),
    ("Error 522 Ray ID: 8a1b", [(HTTP, 522)]),
    ("Error code 522", [(HTTP, 522)]),
    ("ERROR: 406 - 110 - Feed is not set to receive data", [(HTTP, 406), (STROOM, 110), (STROOM, 110)]),
    ("StroomStreamException: Stroom Status 314 - Data feed key has expired", [(STROOM, 314)]),
    ("Status: 406 Not Acceptable\nX-A: 1", [(HTTP, 406)]),
    ("status:404 Not Found", [(HTTP, 404)]),
    # typed by a person
    ("404 not found", [(HTTP, 404)]),
    ("418 I'm a teapot", [(HTTP, 418)]),
    ("403 forbidden", [(HTTP, 403)]),
    ("110", [(STROOM, 110)]),
    ("503/999", [(HTTP, 503), (STROOM, 999)]),
    ("502/504", [(HTTP, 502), (HTTP, 504)]),
    ("why do I get 404 Not Found when I post?", [(HTTP, 404)]),
    ("It said error 404 when I tried.", [(HTTP, 404)]),
    ("The portal answered with status 503 and a long text", [(HTTP, 503)]),
    ("upload failed with HTTP error 413", [(HTTP, 413)]),
]


@pytest.mark.parametrize(("text", "expected"), FORMATS)
def test_finds_the_codes_in_what_programs_write(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(found.registry, found.code) for found in recognise(text, VOCABULARY)] == expected


@pytest.mark.parametrize(("text", "expected"), FORMATS)
def test_finds_the_same_where_a_browser_has_changed_the_line_ends(
    text: str, expected: list[tuple[str, int]]
) -> None:
    sent = re.sub(r"\r?\n", "\r\n", f"before\n{text}\nafter\n")
    if not any(found.kind == "question" for found in recognise(text, VOCABULARY)):
        assert [(found.registry, found.code) for found in recognise(sent, VOCABULARY)] == expected


@pytest.mark.parametrize("text", [text for text, expected in FORMATS if expected])
def test_passages_lie_where_their_offsets_say_and_apart_from_each_other(text: str) -> None:
    end = 0
    for found in recognise(text, VOCABULARY):
        assert text[found.start : found.end] == found.passage
        assert found.start >= end
        assert found.line == text.count("\n", 0, found.start) + 1
        end = found.end


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (CURL_FAIL, [(100, None), (413, 410)]),
        (REDIRECTED, [(301, None), (200, None)]),
        (SEND_TO_STROOM, [(401, 300)]),
        (WRITE_OUT, [(406, 200)]),
        (PROXY_NEW, [(406, 110)]),
        (f"{PROXY_NEW}\n{PROXY_QUOTED}\n{PROXY_OLD}", [(406, 110), (200, 0), (401, None)]),
        (FEED_STATUS, [(None, 310)]),
        ('{"status":406,"stroom_status":110}\n{"status":406,"stroom_status":200}', [(406, 110), (406, 200)]),
        ('{\n "stroom_status": 110,\n "http_status": 406\n}', [(406, 110)]),
        (
            '10.1.2.3 - - [24/Feb/2026:18:10:27 ] "GET / HTTP/1.1" 200 5\nBUT Feed is not set to receive data',
            [(200, None), (None, 110)],
        ),
        ('ERROR Feed is not set to receive data\n{"status":502,"path":"/x"}', [(None, 110), (502, None)]),
        ('{"status":502}\nStroom Status 110 - Feed is not set to receive data', [(502, None), (None, 110)]),
        (f"{PROXY_NEW}\nStroom Status 300 - Client Certificate Required", [(406, 110), (None, 300)]),
        (
            "HTTP/1.1 200 OK\nStroom-Status: 0\n\nHTTP/1.1 503 Service Unavailable\nStroom-Status: 999",
            [(200, 0), (503, 999)],
        ),
        ('HTTP/1.1 400 Bad Request\nContent-Type: application/problem+json\n\n{"status": 400}', [(400, None)]),
    ],
)
def test_what_belongs_to_one_answer_is_one_pair(text: str, pairs: list[tuple[int | None, int | None]]) -> None:
    assert [(pair.http, pair.stroom) for pair in pair_up(recognise(text, VOCABULARY))] == pairs


PROSE = [
    "Weekly report\nStatus: 200 tickets closed, 404 open.\n",
    "An error occurred (404 rows) when calling home; Stroom Status 200 streams behind.",
    "We counted 302 found items, 100 continue to work, 410 gone, 409 conflict with the plan and 201 created files.",
    "The list has 403 forbidden words; 202 accepted students; 200 ok answers of 500.",
    "Of 500 keys, 404 not found items were reported lost.",
    "Stroom 7 is out, Stroom 6.1 was before; Stroom 100 nodes strong, with Stroom 500 feeds.",
    "We serve HTTP 200 times a day, HTTP 500 requests a second.",
    "Our proxies speak\nHTTP/1.1 200 requests at a time, and more\nif they must.",
    "GET /codes/http/404/?x=500 HTTP/1.1\nHost: 10.0.0.200:503\nContent-Length: 404\nStroom-Status\n",
    "POST /status/200 HTTP/2\nFeed: FEED-404-V1\nCompression: GZIP",
    "Call 0800 404 500 or write to 301 Redirect Road, flat 410.",
    "200-300",
    "200 300",
    "404, 500",
    "12/404",
    "4.0.4",
    "404.html",
    "10.0.0.404",
    "ISO 200 film, 400 mm lens, 503 g; f/2.8, 1/500 s, 1/200",
    "SELECT 404 FROM numbers WHERE status = 'open' AND n > 500;",
    "total 404\ndrwxr-xr-x 2 root root 4096 Feb 24 200\n-rw-r--r-- 1 root root  503 Feb 24 18:10 log.404",
    "  PID TTY          TIME CMD\n  404 pts/0    00:00:00 bash\n  500 pts/0    00:00:00 ps",
    "id,count,name\n1,404,alpha\n2,500,beta\n3,503,gamma",
    '{"id": 404, "port": 503, "code": 500, "error_count": 301, "statuses": 200, "codes": [404, 500]}',
    '{"status": "open", "statusText": "503 pages", "latency": 200, "status_count": 404}',
    "error_count=404 retries=500 code=503 exit status 200 status=ok",
    "exit code 200, signal 11; error 404000; errors 500; status 2000",
    "It got an error 500 feet below; they rejected the response 404 guests gave, the bad status 200 houses had.",
    "We requested the error 200 times and received 3 responses, 404 of them late.",
    "The response time was 200 ms, the error rate 4.04 % and the status page had 500 hits.",
    "status: 404000\nStatus: 50\nStatus: fine, 200 of 200",
    "The 404 not-for-profit houses; 500 internal servers; 503 services, unavailable to 404 of us.",
    "2026-11-21T10:20:30.404Z INFO worker-500 started in 200 ms pid=503 [thread-404]",
    "commit 404d500e503a200\nindex 404..500 100644",
    "0x404 #404 #500 @200 $503 404% 200€ 500°",
    "Chapter 404: A Not So Found Place. Page 200: OK so far.",
    "Feed is set to receive data. The feed must be specified in the plan. Compressed streams invalid?",
    "stroomy 310 weather; Stroomstatus; maelstroom 110",
    "404\n500\n503\n",
    "HTTP/1.1, HTTP/2 and HTTP/3: 200 sites, 404 hosts.",
    "They took room 404 (not founded yet), 500 (internally served) and 200 (okay).",
    "<Response 404 words long> [404] (500) '200'",
    "5 of 404 RECEIVE,REJECT,DROP lines; SEND,200,300",
]


@pytest.mark.parametrize("text", PROSE)
def test_leaves_prose_numbers_requests_and_tables_alone(text: str) -> None:
    assert [found.passage for found in recognise(text, VOCABULARY)] == []


_EVERYDAY = """
a about after again all also an and any are as at back be because before between but by can come day down each
even every far few first for from great had has have he her here high him his house how if in into is it its
just keep large last late left less like line little long look made make many may men miles more most much my
near new next no north of off old on one only or other our out over own paper part people place room sent she
should side since small so some still such take tall than that the their them then there these they thing this
those through time to tonnes town train two under up us use very was water way we well went were what when
where which while who will with work world would year years you your bytes rows port page street version build
order house number total count euros feed feeds data file server client proxy request list
""".split()
_NUMBER = st.one_of(st.integers(0, 999), st.integers(1000, 99999)).map(str)
_TOKEN = st.one_of(st.sampled_from(_EVERYDAY), _NUMBER)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(_TOKEN, st.sampled_from([" ", " ", " ", ", ", ". ", "; ", "\n", " - ", ": "])),
        min_size=3,
        max_size=40,
    )
)
def test_no_everyday_words_and_numbers_make_a_code(tokens: list[tuple[str, str]]) -> None:
    text = "Dear all, " + "".join(word + sign for word, sign in tokens)
    assert [found.passage for found in recognise(text, VOCABULARY)] == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read_without_fault_and_passages_keep_apart(text: str) -> None:
    end = 0
    for found in recognise(text, VOCABULARY):
        assert text[found.start : found.end] == found.passage
        assert found.start >= end
        end = found.end


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([text for text, _ in FORMATS] + PROSE), max_size=5),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_joined_texts_keep_their_offsets(texts: list[str], sign: str) -> None:
    text = sign.join(texts)
    found = recognise(text, VOCABULARY)
    assert all(text[one.start : one.end] == one.passage for one in found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_every_name_of_the_catalogue_beside_its_number_is_found() -> None:
    for code, names in VOCABULARY.names.items():
        for name in names:
            text = f"The log says {code} {name}."
            assert [(f.registry, f.code) for f in recognise(text, VOCABULARY)] == [(HTTP, code)], text


def test_every_message_and_constant_of_stroom_is_found_by_itself() -> None:
    for message, code in VOCABULARY.messages.items():
        assert [(f.registry, f.code) for f in recognise(f"It says: {message}!", VOCABULARY)] == [(STROOM, code)]


def test_numbers_of_a_log_that_repeat_are_all_found_up_to_a_limit() -> None:
    line = '10.1.2.3 - - [24/Feb/2026:18:10:27 +0000] "GET /a HTTP/1.1" 502 157\n'
    found = recognise(line * 900, VOCABULARY)
    assert len(found) == 900
    assert found[-1].line == 900


@pytest.mark.parametrize("seed", range(6))
def test_s27_pieces_of_every_shape_thrown_together_take_no_exponential_time(seed: int) -> None:
    chance = random.Random(seed)
    pieces = [piece for text, _ in FORMATS for piece in re.findall(r"\w+|\W", text)]
    text = "".join(chance.choices(pieces, k=20_000))[: 64 * 1024]
    began = time.process_time()
    recognise(text, VOCABULARY)
    assert time.process_time() - began < 5  # a guard against explosion, not a measurement
