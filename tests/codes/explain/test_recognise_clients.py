"""What clients, shippers, proxies and services print when an answer was not the one hoped for."""

import re

import pytest

from codes.catalogue.reader import read_catalogue
from codes.explain.findings import HTTP, STROOM, Vocabulary
from codes.explain.recognise import recognise
from codes.explain.vocabulary import vocabulary_of
from codes.loading import DATA_DIRECTORY

VOCABULARY: Vocabulary = vocabulary_of(read_catalogue(DATA_DIRECTORY))

PRINTED = [
    ("curl: (22) The requested URL returned error: 503 Service Unavailable", [(HTTP, 503)]),
    ("* Received 101, Switching to HTTP/2", [(HTTP, 101)]),
    (
        "< HTTP/1.1 503 Service Temporarily Unavailable\r\n< Server: nginx\r\n< Stroom-Status: 999\r",
        [(HTTP, 503), (STROOM, 999)],
    ),
    ("Warning: Problem: HTTP error 503. Will retry in 2 seconds.", [(HTTP, 503)]),
    (
        "HTTP request sent, awaiting response... 404 Not Found\n2026-11-21 10:00:00 ERROR 404: Not Found.",
        [(HTTP, 404), (HTTP, 404)],
    ),
    (
        "  HTTP/1.1 403 Forbidden\n  Content-Length: 12\nProxy tunneling failed: ForbiddenUnable "
        "to establish SSL connection.",
        [(HTTP, 403)],
    ),
    ("wget: server returned error: HTTP/1.1 404 Not Found", [(HTTP, 404)]),
    ("Proxy tunneling failed: 407 Proxy Authentication Required", [(HTTP, 407)]),
    (
        "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: http://x:8080/datafeed",
        [(HTTP, 503)],
    ),
    (
        "httpx.HTTPStatusError: Client error '406 Not Acceptable' for url "
        "'http://x/datafeed'\nFor more information check: "
        "https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/406",
        [(HTTP, 406)],
    ),
    (
        "httpx.HTTPStatusError: Redirect response '302 Found' for url 'http://x/'\nRedirect location: 'http://y/'",
        [(HTTP, 302)],
    ),
    ("urllib.error.HTTPError: HTTP Error 406: Not Acceptable", [(HTTP, 406)]),
    ("<HTTPError 401: 'Unauthorized'>", [(HTTP, 401)]),
    (
        "aiohttp.client_exceptions.ClientResponseError: 503, message='Service Unavailable', url='http://x/'",
        [(HTTP, 503)],
    ),
    (
        "aiohttp.client_exceptions.ContentTypeError: 200, message='Attempt to decode JSON with "
        "unexpected mimetype: text/html', url='http://x'",
        [(HTTP, 200)],
    ),
    (
        "<ClientResponse(http://x/datafeed) [406 Not Acceptable]>\n<CIMultiDictProxy('Stroom-Status': '110')>",
        [(HTTP, 406), (STROOM, 110)],
    ),
    (
        "urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='x', port=8080): Max retries "
        "exceeded with url: /datafeed (Caused by ResponseError('too many 503 error responses'))",
        [(HTTP, 503)],
    ),
    (
        "WARNING:urllib3.connectionpool:Retrying (Retry(total=2, connect=None, read=None, "
        "redirect=None, status=None)) after connection broken by 'ProxyError('Cannot connect to "
        "proxy.', OSError('Tunnel connection failed: 403 Forbidden'))': /datafeed",
        [(HTTP, 403)],
    ),
    (
        "botocore.exceptions.ClientError: An error occurred (503) when calling the PutObject "
        "operation (reached max retries: 4): Slow Down",
        [(HTTP, 503)],
    ),
    ("tornado.httpclient.HTTPClientError: HTTP 599: Timeout while connecting", [(HTTP, 599)]),
    ("google.api_core.exceptions.ServiceUnavailable: 503 The service is currently unavailable", [(HTTP, 503)]),
    ("elasticsearch.exceptions.TransportError: TransportError(429, 'circuit_breaking_exception')", [(HTTP, 429)]),
    ("{'status_code': 406, 'headers': {'Stroom-Status': '110'}}", [(HTTP, 406), (STROOM, 110)]),
    (
        "java.io.IOException: Server returned HTTP response code: 503 for URL: http://stroom:8080/datafeed",
        [(HTTP, 503)],
    ),
    ("HttpResponse(POST http://stroom/datafeed) 406", [(HTTP, 406)]),
    ("(POST http://stroom/datafeed) 406", [(HTTP, 406)]),
    ("org.apache.http.client.ClientProtocolException: Unexpected response status: 503", [(HTTP, 503)]),
    (
        "HttpResponseProxy{HTTP/1.1 406 Not Acceptable [Date: Sat, Stroom-Status: 110] "
        "ResponseEntityProxy{[Chunked: true]}}",
        [(HTTP, 406), (STROOM, 110)],
    ),
    (
        "2026-11-21 10:00:00 DEBUG org.apache.hc.client5.http.headers - http-outgoing-1 << "
        "HTTP/1.1 503 Service Unavailable",
        [(HTTP, 503)],
    ),
    (
        "2026-11-21 10:00:00 DEBUG org.apache.hc.client5.http.headers - http-outgoing-1 << Stroom-Status: 110",
        [(STROOM, 110)],
    ),
    (
        "okhttp3.OkHttpClient: <-- 503 Service Unavailable http://stroom/datafeed (120ms, 0-byte body)",
        [(HTTP, 503)],
    ),
    ("<-- 404 https://api.example.com/users/500 (52ms)", [(HTTP, 404)]),
    (
        "org.springframework.web.reactive.function.client.WebClientResponseException$ServiceUnava"
        "ilable: 503 Service Unavailable from POST http://x/datafeed",
        [(HTTP, 503)],
    ),
    ("org.springframework.web.client.HttpClientErrorException$Unauthorized: 401 : [no body]", [(HTTP, 401)]),
    ("jakarta.ws.rs.ServiceUnavailableException: HTTP 503 Service Unavailable", [(HTTP, 503)]),
    ("retrofit2.HttpException: HTTP 404 Not Found", [(HTTP, 404)]),
    (
        "io.netty.handler.codec.http.DefaultHttpResponse(decodeResult: success, version: "
        "HTTP/1.1)\nHTTP/1.1 502 Bad Gateway",
        [(HTTP, 502)],
    ),
    (
        "software.amazon.awssdk.services.s3.model.S3Exception: Access Denied (Service: S3, "
        "Status Code: 403, Request ID: X)",
        [(HTTP, 403)],
    ),
    (
        "com.amazonaws.services.s3.model.AmazonS3Exception: Forbidden (Service: Amazon S3; "
        "Status Code: 403; Error Code: 403 Forbidden; Request ID: 1)",
        [(HTTP, 403), (HTTP, 403)],
    ),
    ("2026/11/21 10:00:00 upload failed: unexpected status 503 Service Unavailable", [(HTTP, 503)]),
    ('Error: Post "http://x/datafeed": unexpected status code 406', [(HTTP, 406)]),
    ("status 406 Not Acceptable", [(HTTP, 406)]),
    (
        "&{Status:406 Not Acceptable StatusCode:406 Proto:HTTP/1.1 ProtoMajor:1 Header:map[Stroom-Status:[110]]}",
        [(HTTP, 406), (HTTP, 406), (STROOM, 110)],
    ),
    ("googleapi: Error 403: Rate Limit Exceeded, rateLimitExceeded", [(HTTP, 403)]),
    ("googleapi: got HTTP response code 503 with body: Service Unavailable", [(HTTP, 503)]),
    ("http: proxy error: 502 Bad Gateway", [(HTTP, 502)]),
    ("AxiosError: Request failed with status code 406", [(HTTP, 406)]),
    ("TypeError: fetch failed: HTTP 503", [(HTTP, 503)]),
    (
        "Response { status: 406, statusText: 'Not Acceptable', headers: Headers { 'stroom-status': '110' } }",
        [(HTTP, 406), (STROOM, 110)],
    ),
    ("Error: HTTP error! status: 503", [(HTTP, 503)]),
    ("Error: HTTP error! Status: 404", [(HTTP, 404)]),
    ("{ status: 503, statusText: 'Service Unavailable' }", [(HTTP, 503)]),
    (
        "response: {\n    status: 406,\n    statusText: 'Not Acceptable',\n    headers: Object "
        "[AxiosHeaders] {\n      'stroom-status': '110',",
        [(HTTP, 406), (STROOM, 110)],
    ),
    ('StatusCodeError: 404 - {"message":"not here"}', [(HTTP, 404)]),
    ("HTTPError: Response code 503 (Service Unavailable)", [(HTTP, 503)]),
    ("POST http://localhost:8000/datafeed 406 (Not Acceptable)", [(HTTP, 406)]),
    ("GET https://example.org/api net::ERR_ABORTED 404 (Not Found)", [(HTTP, 404)]),
    ("statusCode: 503,", [(HTTP, 503)]),
    ("Invoke-WebRequest: Response status code does not indicate success: 406 (Not Acceptable).", [(HTTP, 406)]),
    ("Invoke-RestMethod : The remote server returned an error: (503) Server Unavailable.", [(HTTP, 503)]),
    (
        "System.Net.Http.HttpRequestException: Response status code does not indicate success: 502 (Bad Gateway).",
        [(HTTP, 502)],
    ),
    (
        "StatusCode: 406, ReasonPhrase: 'Not Acceptable', Version: 1.1, Content: "
        "System.Net.Http.HttpConnectionResponseContent, Headers:\n{\n  Stroom-Status: 110\n}",
        [(HTTP, 406), (STROOM, 110)],
    ),
    ("System.Net.WebException: The remote server returned an error: (401) Unauthorized.", [(HTTP, 401)]),
    (
        "StatusCode        : 200\nStatusDescription : OK\nHeaders           : {[Stroom-Status, 0]}",
        [(HTTP, 200), (STROOM, 0)],
    ),
    (
        "[2026-11-21T10:00:00,000][ERROR][logstash.outputs.http    ][main][abc] Encountered "
        'non-2xx HTTP code 503 {:response_code=>503, :url=>"http://x/datafeed", '
        ":event=>#<LogStash::Event:0x1>}",
        [(HTTP, 503), (HTTP, 503)],
    ),
    ("[HTTP Output Failure] Encountered non-2xx HTTP code 406", [(HTTP, 406)]),
    (
        "2026-11-21 10:00:00 +0000 [warn]: #0 got error response from 'http://x:8000/datafeed': 406 Not Acceptable",
        [(HTTP, 406)],
    ),
    (
        "2026-11-21 10:00:00 +0000 [warn]: #0 failed to flush the buffer. retry_times=0 "
        'error_class=Fluent::Plugin::HTTPOutput::RetryableResponse error="503 Service Unavailable "',
        [(HTTP, 503)],
    ),
    ("[2026/11/21 10:00:00] [error] [output:http:http.0] x:8000, HTTP status=406\nnope", [(HTTP, 406)]),
    ("[2026/11/21 10:00:00] [ warn] [output:http:http.0] x:8000, HTTP status=503, retry", [(HTTP, 503)]),
    (
        '{"log.level":"error","message":"failed to perform any bulk index operations: 429 Too Many Requests: {}"}',
        [(HTTP, 429)],
    ),
    (
        '{"log.level":"error","@timestamp":"2026-11-21T10:00:00Z","message":"Failed to connect '
        'to backoff(elasticsearch(http://x:9200)): 503 Service Unavailable: "}',
        [(HTTP, 503)],
    ),
    (
        '2026-11-21T10:00:00.000Z ERROR sink{component_kind="sink" component_id=out '
        "component_type=http}: vector_common::internal_event::service: Service call failed. No "
        "retries or retries exhausted. error=Some(ServerError { code: 503 }) request_id=1",
        [(HTTP, 503)],
    ),
    (
        "WARN sink{component_id=out}:request{request_id=1}: vector::sinks::util::retries: "
        "Internal log [Retrying after response.] reason=Http status: 503 Service Unavailable",
        [(HTTP, 503)],
    ),
    (
        'ERROR vector::internal_events::common: Events dropped reason="response status: 406 Not Acceptable"',
        [(HTTP, 406)],
    ),
    (
        'level=error ts=2026-11-21 caller=client.go:430 component=client msg="final error '
        'sending batch" status=429 error="server returned HTTP status 429 Too Many Requests '
        '(429): Ingestion rate limit exceeded"',
        [(HTTP, 429), (HTTP, 429)],
    ),
    ("rsyslogd: omhttp: checkResult error http status code: 503 reply: ", [(HTTP, 503)]),
    (
        "E! [agent] Error writing to outputs.http: when writing to [http://x/datafeed] received "
        "status code: 406. body: Stroom Status 110 - Feed is not set to receive data",
        [(HTTP, 406), (STROOM, 110)],
    ),
    (
        "2026/11/21 10:00:00 [error] 31#31: *5 auth request unexpected status: 502 while sending "
        "to client, client: 10.0.0.1",
        [(HTTP, 502)],
    ),
    (
        "haproxy[1]: 10.0.0.1:5000 [21/Nov/2026:10:00:00.000] https-in~ portal/p1 0/0/1/20/21 "
        '406 250 - - ---- 1/1/0/0/0 0/0 "POST /datafeed HTTP/1.1"',
        [(HTTP, 406)],
    ),
    (
        "haproxy[1]: 10.0.0.1:5000 [21/Nov/2026:10:00:00.000] https-in~ portal/<NOSRV> "
        '0/-1/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 "POST /datafeed HTTP/1.1"',
        [(HTTP, 503)],
    ),
    (
        "[WARNING] (8) : Server portal/p1 is DOWN, reason: Layer7 wrong status, code: 503, info: "
        '"Service Unavailable", check duration: 3ms.',
        [(HTTP, 503)],
    ),
    (
        'Health check for server portal/p1 failed, reason: Layer7 wrong status, code: 404, info: "Not Found"',
        [(HTTP, 404)],
    ),
    (
        "h2 2026-11-21T10:00:00.000000Z app/portal/1 10.0.0.1:5000 10.0.1.1:8000 0.001 0.020 "
        '0.000 406 406 200 250 "POST https://x:443/datafeed HTTP/2.0" "curl/8" ECDHE TLSv1.3 '
        'arn:aws:x "Root=1" "x" "-" 0 2026-11-21T10:00:00Z "forward" "-" "-" "10.0.1.1:8000" '
        '"406" "-" "-"',
        [(HTTP, 406)],
    ),
    ('10.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "POST /datafeed HTTP/1.1" 408 - "-" "-"', [(HTTP, 408)]),
    (
        "2026-11-21 10:00:00 W3SVC1 WEB01 10.0.0.2 POST /datafeed - 443 - 10.0.0.1 HTTP/1.1 "
        "curl/8 - - x 406 0 0 250 300 15",
        [(HTTP, 406)],
    ),
    (
        "#Fields: date time cs-method cs-uri-stem sc-status sc-bytes\n2026-11-21 10:00:00 POST /datafeed 503 217",
        [(HTTP, 503)],
    ),
    (
        "2026-11-21 10:00:00 10.0.0.1 5000 10.0.0.2 443 HTTP/1.1 POST /datafeed - 503 1 "
        "Connection_Dropped DefaultAppPool",
        [(HTTP, 503)],
    ),
    (
        "Nov 21 10:00:00 host portal[812]: 2026-11-21T10:00:00Z INFO portal.access request_id=1 "
        "method=POST path=/datafeed status=406 stroom_status=110 ms=3",
        [(HTTP, 406), (STROOM, 110)],
    ),
    ('Nov 21 10:00:00 host uvicorn[1]: INFO:     10.0.0.1:5000 - "GET / HTTP/1.1" 404 Not Found', [(HTTP, 404)]),
    ("Nov 21 10:00:00 host curl[99]: curl: (22) The requested URL returned error: 401", [(HTTP, 401)]),
    ("Nov 21 10:00:00 host sendToStroom.sh[99]: Info: Sent File /a/b.log, response code was: 200", [(HTTP, 200)]),
    (
        "Nov 21 10:00:00 host sendToStroom.sh[99]: Error: Unable to send file /a/b.log, response "
        "code was: 503, error was :",
        [(HTTP, 503)],
    ),
    (
        'Nov 21 10:00:00 host gunicorn[1]: 10.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "GET / '
        'HTTP/1.1" 502 0 "-" "-"',
        [(HTTP, 502)],
    ),
    ('{"level":"info","status":404,"method":"GET","path":"/x"}', [(HTTP, 404)]),
    (
        '{"event":{"outcome":"failure"},"http":{"request":{"method":"POST"},"response":{"status_c'
        'ode":503,"body":{"bytes":200}}}}',
        [(HTTP, 503)],
    ),
    (
        '{"httpRequest":{"requestMethod":"POST","status":503,"responseSize":"200"},"severity":"ERROR"}',
        [(HTTP, 503)],
    ),
    ('{"statusCode": 502, "body": "{\\"message\\": \\"Internal server error\\"}"}', [(HTTP, 502)]),
    ('{"error":{"code":"429","message":"Too Many Requests"}}', [(HTTP, 429)]),
    ('{"errors":[{"status":"422","title":"Invalid"}]}', [(HTTP, 422)]),
    (
        '{"timestamp":"2026-11-21T10:00:00.000+00:00","status":500,"error":"Internal Server Error","path":"/x"}',
        [(HTTP, 500)],
    ),
    ('{"responseStatus":{"metadata":{},"code":403},"verb":"create"}', [(HTTP, 403)]),
    ('{"http_status": "503", "stroom_status": "999"}', [(HTTP, 503), (STROOM, 999)]),
    ('{"message":"POST /datafeed 406 110","Stroom-Status":"110"}', [(STROOM, 110)]),
    ('{"response":{"status":{"code":503}}}', [(HTTP, 503)]),
    ('{"type":"about:blank","title":"Not Found","status":404}', [(HTTP, 404)]),
    ('{"RequestMethod":"GET","status_code":"200"}', [(HTTP, 200)]),
    ('{"code":404,"message":"Not Found"}', [(HTTP, 404)]),
    ('{"code":16,"message":"x","status":401}', [(HTTP, 401)]),
]


@pytest.mark.parametrize(("text", "expected"), PRINTED)
@pytest.mark.parametrize("around", ["{}", "before\n{}\nafter\n"])
def test_finds_the_codes_in_what_programs_print(text: str, expected: list[tuple[str, int]], around: str) -> None:
    pasted = around.format("\0").replace("\0", text)
    for sent in (pasted, re.sub(r"\r?\n", "\r\n", pasted)):
        assert [(found.registry, found.code) for found in recognise(sent, VOCABULARY)] == expected
