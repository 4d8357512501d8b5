"""Error pages and error logs of servers and proxies."""

# ruff: noqa: E501 (each text stands as its program prints it; so many texts fill the module)

PAGES = [
    # nginx
    (
        "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 "
        "Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>",
        "503",
    ),
    ("<center><h1>405 Not Allowed</h1></center>", "405"),
    ("<center><h1>401 Authorization Required</h1></center>", "401"),
    ("<center><h1>302 Found</h1></center>", "302"),
    ("<title>301 Moved Permanently</title>", "301"),
    ("<title>307 Temporary Redirect</title>", "307"),
    ("<title>308 Permanent Redirect</title>", "308"),
    ("<title>400 Bad Request</title>", "400"),
    ("<title>402 Payment Required</title>", "402"),
    ("<title>404 Not Found</title>", "404"),
    ("<title>406 Not Acceptable</title>", "406"),
    ("<title>408 Request Time-out</title>", "408"),
    ("<title>409 Conflict</title>", "409"),
    ("<title>410 Gone</title>", "410"),
    ("<title>411 Length Required</title>", "411"),
    ("<title>412 Precondition Failed</title>", "412"),
    ("<title>413 Request Entity Too Large</title>", "413"),
    ("<title>414 Request-URI Too Large</title>", "414"),
    ("<title>415 Unsupported Media Type</title>", "415"),
    ("<title>416 Requested Range Not Satisfiable</title>", "416"),
    ("<title>421 Misdirected Request</title>", "421"),
    ("<title>429 Too Many Requests</title>", "429"),
    ("<title>500 Internal Server Error</title>", "500"),
    ("<title>501 Not Implemented</title>", "501"),
    ("<title>502 Bad Gateway</title>", "502"),
    ("<title>504 Gateway Time-out</title>", "504"),
    ("<title>505 HTTP Version Not Supported</title>", "505"),
    ("<title>507 Insufficient Storage</title>", "507"),
    (
        "<head><title>400 No required SSL certificate was sent</title></head>\n<center><h1>400 Bad Request</h1>"
        "</center>\n<center>No required SSL certificate was sent</center>",
        "496",
    ),
    (
        "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<title>400 The SSL certificate error</title>\r\n"
        "<center><h1>400 Bad Request</h1></center>\r\n<center>The SSL certificate error</center>",
        "495",
    ),
    (
        "<title>400 The plain HTTP request was sent to HTTPS port</title>\n<h1>400 Bad Request</h1>\n"
        "<center>The plain HTTP request was sent to HTTPS port</center>",
        "497",
    ),
    (
        "<title>400 Request Header Or Cookie Too Large</title>\n<h1>400 Bad Request</h1>\n<center>Request Header Or "
        "Cookie Too Large</center>",
        "494",
    ),
    ("400 Bad Request\nNo required SSL certificate was sent\nnginx", "496"),
    ("No required SSL certificate was sent", "496"),
    ("The plain HTTP request was sent to HTTPS port", "497"),
    ("< HTTP/1.1 400 Bad Request\n<\n<center>No required SSL certificate was sent</center>", "496"),
    # Apache httpd
    (
        "<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n<p>The requested URL was not found on this "
        "server.</p>\n<hr>\n<address>Apache/2.4.57 (Debian) Server at x.example Port 443</address>",
        "404",
    ),
    ("<title>502 Proxy Error</title>\n<h1>Proxy Error</h1>\nThe proxy server received an invalid response", "502"),
    ("<title>504 Gateway Timeout</title>\n<h1>Gateway Timeout</h1>", "504"),
    (
        "<title>400 Bad Request</title>\n<p>Your browser sent a request that this server could not understand.<br />\n"
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        "400",
    ),
    ("<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>", "500"),
    ("<title>401 Unauthorized</title>\n<h1>Unauthorized</h1>", "401"),
    ("Error 404\nlocalhost\nApache/2.4.57 (Unix)", "404"),
    # IIS and HTTP.sys
    ("<h2>HTTP Error 503. The service is unavailable.</h2>", "503"),
    ("<h3>HTTP Error 404.0 - Not Found</h3>", "404"),
    ("HTTP Error 500.19 - Internal Server Error\nThe requested page cannot be accessed", "500"),
    ("HTTP Error 413.1 - Request Entity Too Large", "413"),
    ("<h3>HTTP Error 403.7 - Forbidden</h3>\n<h4>The page requires a client certificate.</h4>", "403"),
    ("<h2>404 - File or directory not found.</h2>", "404"),
    ("<h2>403 - Forbidden: Access is denied.</h2>", "403"),
    ("<h2>401 - Unauthorized: Access is denied due to invalid credentials.</h2>", "401"),
    ("<h2>500 - Internal server error.</h2>", "500"),
    ("<h2>405 - HTTP verb used to access this page is not allowed.</h2>", "405"),
    ("<h2>502 - Web server received an invalid response while acting as a gateway or proxy server.</h2>", "502"),
    ("<h2>503 - Service unavailable.</h2>", "503"),
    ("<h2>Bad Request - Invalid Hostname</h2>\n<hr><p>HTTP Error 400. The request hostname is invalid.</p>", "400"),
    (
        "<h2>Length Required</h2><hr><p>HTTP Error 411. The request must be chunked or have a content length.</p>",
        "411",
    ),
    # HAProxy
    (
        "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body>",
        "503",
    ),
    ("<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>", "504"),
    ("<html><body><h1>408 Request Time-out</h1>\nYour browser didn't send a complete request in time.", "408"),
    ("<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>", "400"),
    ("<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>", "403"),
    ("<html><body><h1>502 Bad Gateway</h1>\nThe server returned an invalid or incomplete response.\n", "502"),
    ("<html><body><h1>429 Too Many Requests</h1>\nYou have sent too many requests in a given amount", "429"),
    # Envoy and Istio
    ("upstream connect error or disconnect/reset before headers. reset reason: connection failure", "503"),
    (
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote",
        "503",
    ),
    ("no healthy upstream", "503"),
    ("upstream request timeout", "504"),
    ("RBAC: access denied", "403"),
    ("< HTTP/1.1 503 Service Unavailable\n< server: envoy\n<\nno healthy upstream", "503"),
    # Varnish
    (
        "<title>503 Backend fetch failed</title>\n<h1>Error 503 Backend fetch failed</h1>\n<h3>Guru Meditation:</h3>",
        "503",
    ),
    ("<h1>Error 503 Service Unavailable</h1>\n<p>Service Unavailable</p>\n<h3>Guru Meditation:</h3>", "503"),
    ("Error 405 Method not allowed\nGuru Meditation:\nXID: 12345", "405"),
    ("Error 503 first byte timeout\nGuru Mediation:\nDetails: cache-lhr7342-LHR 1613059560 3182193415", "503"),
    # CloudFront and other AWS
    (
        "<H1>502 ERROR</H1>\n<H2>The request could not be satisfied.</H2>\nGenerated by cloudfront (CloudFront)",
        "502",
    ),
    ("403 ERROR\nThe request could not be satisfied.\nRequest blocked.", "403"),
    ("504 ERROR\nThe request could not be satisfied.\nCloudFront attempted to establish a connection", "504"),
    ("<html>\r\n<head><title>460 </title></head>", "460"),
    ("<head><title>503 Service Temporarily Unavailable</title></head>\n<center>awselb/2.0</center>", "503"),
    ("<head><title>464</title></head>\n<body><center><h1>464</h1></center></body>", "464"),
    # Cloudflare
    ("<title>stroom.example | 522: Connection timed out</title>", "522"),
    ("<title>stroom.example | 521: Web server is down</title>", "521"),
    ("Error code 520\nWeb server is returning an unknown error", "520"),
    ("Web server is down Error code 521\nVisit cloudflare.com for more information.", "521"),
    ("Error 524 Ray ID: 7a8b9c0d1e2f • 2026-11-30 10:00:00 UTC\nA timeout occurred", "524"),
    ("Error 526 Ray ID: 7a8b9c0d1e2f\nInvalid SSL certificate", "526"),
    ("error code: 521", "521"),
    ('<span class="cf-error-code">502</span>\n<h1>Bad gateway</h1>', "502"),
    ("525: SSL handshake failed", "525"),
    # Jetty
    (
        "<title>Error 404 Not Found</title>\n<h2>HTTP ERROR 404 Not Found</h2>\n<table>\n<tr><th>URI:</th><td>/x</td></tr>\n"
        "<tr><th>STATUS:</th><td>404</td></tr>\n<tr><th>MESSAGE:</th><td>Not Found</td></tr>",
        "404",
    ),
    (
        "<h2>HTTP ERROR: 503</h2>\n<p>Problem accessing /datafeed. Reason:\n<pre>    Service Unavailable</pre></p>",
        "503",
    ),
    (
        "<h2>HTTP ERROR 406</h2>\n<p>Problem accessing /stroom/datafeed. Reason:\n<pre>    Stroom Status 110 - Feed is not set to receive data</pre>",
        "406/110",
    ),
    ("<h2>HTTP ERROR 406 Stroom Status 100 - Feed must be specified</h2>", "406/100"),
    ("Error 401 Client Certificate Required\nHTTP ERROR 401\nPowered by Jetty:// 9.4.31", "401/300"),
    ('{"code":406,"message":"HTTP 406 Not Acceptable"}', "406"),
    # Tomcat
    (
        "<title>HTTP Status 404 – Not Found</title>\n<h1>HTTP Status 404 – Not Found</h1><p><b>Type</b> Status Report</p>",
        "404",
    ),
    (
        '<h1>HTTP Status 500 – Internal Server Error</h1><hr class="line" /><p><b>Type</b> Exception Report</p>',
        "500",
    ),
    ("HTTP Status 406 - Stroom Status 110 - Feed is not set to receive data", "406/110"),
    ("<h1>HTTP Status 401 - Client Certificate Required</h1>", "401/300"),
    # Django, Werkzeug, Rails, Spring, others
    ("<h1>Page not found <span>(404)</span></h1>", "404"),
    ("<h1>Server Error (500)</h1>", "500"),
    ("<h1>Forbidden <span>(403)</span></h1>\n<p>CSRF verification failed. Request aborted.</p>", "403"),
    ("<h1>Bad Request (400)</h1>", "400"),
    (
        "<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n<p>The method is not allowed for the URL</p>",
        "405",
    ),
    ("Whitelabel Error Page\nThere was an unexpected error (type=Not Found, status=404).", "404"),
    (
        '{"timestamp":"2026-11-30T10:00:00.000+00:00","status":415,"error":"Unsupported Media Type","path":"/datafeed"}',
        "415",
    ),
    ("<b>404.</b> <ins>That’s an error.</ins>", "404"),
    ("404. That’s an error.", "404"),
    ("404 page not found", "404"),
    ("<h1>508 Resource Limit Is Reached</h1>", "508"),
    ("<title>509 Bandwidth Limit Exceeded</title>", "509"),
    ("<title>404 Not Found</title>\n<h1>404 Not Found</h1>\n<address>lighttpd/1.4.69</address>", "404"),
    (
        "<h1>Error response</h1>\n<p>Error code: 501</p>\n<p>Message: Unsupported method ('POST').</p>\n"
        "<p>Error code explanation: HTTPStatus.NOT_IMPLEMENTED - Server does not support this operation.</p>",
        "501",
    ),
    ('{"detail":"Not found.","status_code":404}', "404"),
    (
        '{"type":"about:blank","title":"Not Acceptable","status":406,"detail":"Feed is not set to receive data"}',
        "406/110",
    ),
    ('<?xml version="1.0"?>\n<error><status>503</status><message>Service Unavailable</message></error>', "503"),
    ('<error code="503">Service Unavailable</error>', "503"),
    ("<statusCode>429</statusCode>", "429"),
    ('{"error":{"code":499,"message":"Token Required","details":[]}}', "499"),
    ('{"message":"Too Many Requests","code":429}', "429"),
    ('{"Code":"ServiceUnavailable","httpStatusCode":"503"}', "503"),
    ("<h1>Your request could not be processed: HTTP&nbsp;503</h1>", "503"),
    ("HTTP <b>503</b> Service Unavailable", "503"),
    ("<p>Status: <strong>406</strong></p><p>Stroom-Status: <strong>110</strong></p>", "406/110"),
    ("&lt;title&gt;502 Bad Gateway&lt;/title&gt;", "502"),
    ("<tr><td>HTTP status</td><td>406</td></tr>\n<tr><td>Stroom-Status</td><td>110</td></tr>", "406/110"),
]

NGINX = "2026/11/30 10:00:00 [error] 31#31: *17 "
OF_CLIENT = ', client: 10.0.0.1, server: stroom.example, request: "POST /stroom/datafeed HTTP/1.1", host: "x:200"'
UP = 'upstream: "http://10.0.0.2:8080/stroom/datafeed"'
ERROR_LOGS = [
    (NGINX + "client intended to send too large body: 104857600 bytes" + OF_CLIENT, "413"),
    (NGINX + "client intended to send too large chunked body: 1048576+8192 bytes" + OF_CLIENT, "413"),
    (
        NGINX
        + f"upstream timed out (110: Connection timed out) while reading response header from upstream{OF_CLIENT}, {UP}",
        "504",
    ),
    (NGINX + f"upstream timed out (110: Operation timed out) while connecting to upstream{OF_CLIENT}, {UP}", "504"),
    (NGINX + f"connect() failed (111: Connection refused) while connecting to upstream{OF_CLIENT}, {UP}", "502"),
    (NGINX + f"connect() failed (113: No route to host) while connecting to upstream{OF_CLIENT}, {UP}", "502"),
    (
        NGINX
        + f"connect() to unix:/run/portal.sock failed (2: No such file or directory) while connecting to upstream{OF_CLIENT}",
        "502",
    ),
    (
        NGINX
        + f"upstream prematurely closed connection while reading response header from upstream{OF_CLIENT}, {UP}",
        "502",
    ),
    (
        NGINX
        + f"recv() failed (104: Connection reset by peer) while reading response header from upstream{OF_CLIENT}",
        "502",
    ),
    (NGINX + f"no live upstreams while connecting to upstream{OF_CLIENT}", "502"),
    (NGINX + f"upstream sent too big header while reading response header from upstream{OF_CLIENT}", "502"),
    (NGINX + f"upstream sent invalid header while reading response header from upstream{OF_CLIENT}", "502"),
    (
        NGINX
        + f"SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream{OF_CLIENT}",
        "502",
    ),
    (NGINX + f"stroom.internal could not be resolved (3: Host not found){OF_CLIENT}", "502"),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 client SSL certificate verify error: (10:certificate has expired) while "
        "reading client request headers, client: 10.0.0.1, server: stroom.example",
        "495",
    ),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 client sent no required SSL certificate while reading client request headers",
        "496",
    ),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 client sent plain HTTP request to HTTPS port while reading client request headers",
        "497",
    ),
    (
        '2026/11/30 10:00:00 [info] 31#31: *17 client sent too long header line: "Cookie: x" while reading client request headers',
        "494",
    ),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 client sent too large request while reading client request headers",
        "494",
    ),
    ("2026/11/30 10:00:00 [info] 31#31: *17 client sent too long URI while reading client request line", "414"),
    ("2026/11/30 10:00:00 [info] 31#31: *17 client sent invalid method while reading client request line", "400"),
    (
        '2026/11/30 10:00:00 [info] 31#31: *17 client sent HTTP/1.1 request without "Host" header while reading',
        "400",
    ),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 client sent invalid host header while reading client request headers",
        "400",
    ),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 client timed out (110: Connection timed out) while reading client request headers",
        "408",
    ),
    (
        "2026/11/30 10:00:00 [info] 31#31: *17 epoll_wait() reported that client prematurely closed connection, so upstream "
        "connection is closed too while sending request to upstream" + OF_CLIENT,
        "499",
    ),
    (NGINX + 'limiting requests, excess: 5.612 by zone "datafeed"' + OF_CLIENT, "503"),
    (NGINX + 'limiting connections by zone "addr"' + OF_CLIENT, "503"),
    (NGINX + 'open() "/usr/share/nginx/html/x" failed (2: No such file or directory)' + OF_CLIENT, "404"),
    (NGINX + 'directory index of "/usr/share/nginx/html/" is forbidden' + OF_CLIENT, "403"),
    (NGINX + "access forbidden by rule" + OF_CLIENT, "403"),
    (NGINX + "no user/password was provided for basic authentication" + OF_CLIENT, "401"),
    (NGINX + 'user "bob": password mismatch' + OF_CLIENT, "401"),
    (
        NGINX + 'rewrite or internal redirection cycle while internally redirecting to "/index.html"' + OF_CLIENT,
        "500",
    ),
    (NGINX + "auth request unexpected status: 503 while sending to client" + OF_CLIENT, "503"),
    # Apache httpd
    (
        "[Mon Nov 30 10:00:00.123 2026] [proxy:error] [pid 200:tid 300] (111)Connection refused: AH00957: http: attempt to "
        "connect to 10.0.0.2:8080 (stroom) failed",
        "503",
    ),
    (
        "[proxy_http:error] [pid 7] [client 10.0.0.1:40400] AH01114: HTTP: failed to make connection to backend: stroom",
        "503",
    ),
    (
        "[proxy_http:error] [pid 7] (70007)The timeout specified has expired: [client 10.0.0.1:404] AH01102: error reading status line from remote server stroom:8080",
        "504",
    ),
    (
        "[proxy_http:error] [pid 7] (20014)Internal error: [client 10.0.0.1:404] AH01102: error reading status line from remote server stroom:8080",
        "502",
    ),
    (
        "[proxy:error] [pid 7] [client 10.0.0.1:4040] AH00898: Error reading from remote server returned by /datafeed",
        "502",
    ),
    (
        "[authz_core:error] [pid 7] [client 10.0.0.1:4040] AH01630: client denied by server configuration: /var/www",
        "403",
    ),
    ("[core:info] [pid 7] [client 10.0.0.1:4040] AH00128: File does not exist: /var/www/html/x", "404"),
    ("[core:error] [pid 7] [client 10.0.0.1:4040] AH00126: Invalid URI in request GET /../ HTTP/1.1", "400"),
    (
        '[auth_basic:error] [pid 7] [client 10.0.0.1:4040] AH01617: user bob: authentication failure for "/": Password Mismatch',
        "401",
    ),
    ("[auth_basic:error] [pid 7] [client 10.0.0.1:4040] AH01618: user bob not found: /", "401"),
    (
        "[http:error] [pid 7] [client 10.0.0.1:4040] AH01588: Requested content-length of 9 is larger than the configured limit of 8",
        "413",
    ),
    ("[cgi:error] [pid 7] [client 10.0.0.1:4040] End of script output before headers: x.cgi", "500"),
    # HAProxy, Django, Envoy, Caddy, Traefik, Heroku, Kubernetes
    ("haproxy[200]: backend stroom has no server available!", "503"),
    ("Not Found: /stroom/datafeed/x", "404"),
    ("Forbidden (CSRF token missing.): /datafeed", "403"),
    ("Method Not Allowed (GET): /datafeed", "405"),
    ("Internal Server Error: /datafeed", "500"),
    ("2026-11-30 10:00:00,404 WARNING django.request: Bad Request: /x", "400"),
    ('[30/Nov/2026 10:00:00] "POST /datafeed HTTP/1.1" 406 110', "406"),
    ('{"level":"error","msg":"dial tcp 10.0.0.2:8080: connect: connection refused","status":502}', "502"),
    (
        '2026-11-30T10:00:00+00:00 heroku[router]: at=error code=H12 desc="Request timeout" method=POST path="/" '
        "dyno=web.1 connect=1ms service=30000ms status=503 bytes=0 protocol=https",
        "503",
    ),
    ("Readiness probe failed: HTTP probe failed with statuscode: 503", "503"),
    (
        'time="2026-11-30T10:00:00Z" level=debug msg="\'502 Bad Gateway\' caused by: dial tcp 10.0.0.2:80: connect: connection refused"',
        "502",
    ),
    ("Failed to pull image: unexpected status code 429 Too Many Requests", "429"),
    ("stroom-1  | < HTTP/1.1 503 Service Unavailable", "503"),
    ("Nov 30 10:00:00 vm sender[200]: HTTP/1.1 406 Not Acceptable", "406"),
]
