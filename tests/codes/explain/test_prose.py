"""What people write about answers, and the far more that they write about numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codes.catalogue.reader import read_catalogue
from codes.explain.findings import HTTP, STROOM, Vocabulary
from codes.explain.recognise import recognise
from codes.explain.vocabulary import vocabulary_of
from codes.loading import DATA_DIRECTORY

VOCABULARY: Vocabulary = vocabulary_of(read_catalogue(DATA_DIRECTORY))


def codes(text: str) -> list[tuple[str, int]]:
    return [(found.registry, found.code) for found in recognise(text, VOCABULARY)]


SAID = [
    ("Got a 471 from the proxy", [(HTTP, 471)]),
    ("nginx gives us a 598 every time.", [(HTTP, 598)]),
    ("we get 406/110", [(HTTP, 406), (STROOM, 110)]),
    ("Backend returned 504", [(HTTP, 504)]),
    ("HTTP:503", [(HTTP, 503)]),
    ("Got a 503", [(HTTP, 503)]),
    ("response 401 Unauthorized", [(HTTP, 401)]),
    ("it throws a 500", [(HTTP, 500)]),
    ("why does it return 401?", [(HTTP, 401)]),
    ("failed with 503", [(HTTP, 503)]),
    ("HTTP503", [(HTTP, 503)]),
    ("503 error", [(HTTP, 503)]),
    ("We are getting 406 with stroom status 110", [(HTTP, 406), (STROOM, 110)]),
    ("I keep getting a 403 from the proxy", [(HTTP, 403)]),
    ("the load balancer gives us 502s", [(HTTP, 502)]),
    ("server responds with 429", [(HTTP, 429)]),
    ("returns a 404 error", [(HTTP, 404)]),
    ("API responded 500", [(HTTP, 500)]),
    ("Received 503 from upstream", [(HTTP, 503)]),
    ("http=503 stroom=999", [(HTTP, 503), (STROOM, 999)]),
    ("HTTP 406 / Stroom 110", [(HTTP, 406), (STROOM, 110)]),
    ("status=406, Stroom-Status=110", [(HTTP, 406), (STROOM, 110)]),
    ("http_code=503", [(HTTP, 503)]),
    ("Status code 406", [(HTTP, 406)]),
    ("Status: 503", [(HTTP, 503)]),
    ("Stroom-Status 110", [(STROOM, 110)]),
    ("stroom status: 110 http status: 406", [(STROOM, 110), (HTTP, 406)]),
    ("response code 503", [(HTTP, 503)]),
    ("HTTP/2.0 502", [(HTTP, 502)]),
    ("http-503", [(HTTP, 503)]),
    ("Error 503: backend is down", [(HTTP, 503)]),
    ("404 page not found", [(HTTP, 404)]),
    ("Response: 406", [(HTTP, 406)]),
    ("Response Code : 406", [(HTTP, 406)]),
]


@pytest.mark.parametrize(("text", "expected"), SAID)
def test_finds_the_codes_in_what_people_say(text: str, expected: list[tuple[str, int]]) -> None:
    assert codes(text) == expected


SILENT = [
    "The buyer got a 471 from the seller.",
    "Our server got 471 from the raffle, and a 598 ticket.",
    "He got a 500 on the test, she got a 410.",
    "We received 412 replies to the letter, and 503 of them were kind.",
    "The council returned 404 forms to the senders.",
    "The survey got 503 answers.",
    "I got 500 for the old car.",
    "They gave 200 to the church and 300 to the school.",
    "She saw 404 swans on the lake.",
    "The motion failed with 404 against 412.",
    "The motion failed with 404 votes.",
    "Our team returned with 503 samples.",
    "It throws 500 metres.",
    "The machine throws 410 bricks an hour.",
    "The server room has 404 racks; we see 500 lights.",
    "The waiter serves 200 plates, a server got 300 tips.",
    "The proxy got 412 votes and the chairman 503.",
    "A proxy vote gave 404 for and 503 against.",
    "The server at table 4 got 200, the cook 300.",
    "The gateway to the north sees 500 visitors a day.",
    "The portal is 404 cm high and 200 cm wide.",
    "We answered 410 letters; they answered 503.",
    "They answered with 404 pages of notes.",
    "The committee replied with 412 amendments.",
    "Our clients get 200 euros back, others get 503 euros.",
    "The clients received 404 parcels.",
    "Requests: 404 this week, 503 last week.",
    "We had 404 requests from schools, and 503 from homes.",
    "The upload took 503 seconds and gave 404 MB.",
    "Uploads got 500 kB/s, downloads 410.",
    "The browser game gave me 500 points.",
    "I see 404 birds. You see 410.",
    "We get 200/0 in the polls.",
    "The flat is 401/300, the other one 406/111.",
    "Blood pressure 200/110, pulse 100.",
    "The ratio was 406/110 last year.",
    "Scored 400/999 and then 500/999.",
    "The page 406/110 of the book is torn.",
    "A 500 page book, a 404 page one and a 200 page leaflet.",
    "The 404 error bars in the plot are too small.",
    "A 500 error margin is fine; 404 error bars too.",
    "There were 404 errors in the exam papers.",
    "404 errors were corrected by hand.",
    "He made 503 errors and 410 mistakes.",
    "The 503 response cards were sorted.",
    "The 404 response rate is low.",
    "A 200 status symbol for 500 euros.",
    "In the 500s and the 400s, empires fell; they got 300s of soldiers.",
    "Route 503 returns at 404 Main Street.",
    "Bus 401 fails with 300 passengers aboard.",
    "The 503 bus comes back with 40 people.",
    "Stroom 7 is out; we have 200 with it and 300 without.",
    "Room 404: lights, 410: windows.",
    "HTTP: 200 sites, 404 hosts and 503 people.",
    "HTTP: 404 of 500 sites are slow.",
    "Response: 406 of 500 people.",
    "Responses: 406",
    "Response times: 503, 404, 200 ms.",
    "Status: 503 open, 404 closed.",
    "Code: 404 Main Street.",
    "SMTP error 550",
    "550 5.1.1 The mail server returned an error: user unknown",
    "Dial 503, then 404.",
    "Tel. 503-404-5000, fax 503/404-5001",
    "Flight BA 406/110 leaves at 5:00.",
    "Model 502/504, part 406/110-B, lot 500/200.",
    "The score was 500 to 404, then 503 to 410.",
    "The result is 404. The answer is 500. The total was 503.",
    "The answer was 404, said the teacher.",
    "x = 404; y = 503; return 500",
    "if (n > 404) return 503;",
    "def f(): return 404",
    "return 200",
    "    return 500",
    "case 404: break; case 503: return 200;",
    "assert total == 404",
    "for i in range(404): print(500)",
    "got 404 expected 403 rows",
    "expected 200 but got 404 items",
    "expected: <503> but was: <404>",
    "AssertionError: 404 != 200",
    '"code": 404, "count": 500',
    '{"code": 404, "lines": 500, "message": "all counted"}',
    '{"message": "counted", "total": 404, "code2": 503}',
    '{"error": {"count": 404}, "status": {"open": 503}}',
    "{'status_count': 404, 'statuses': 503}",
    "{http: 404 sites, stroom: 300 feeds}",
    "http=404sites stroom=300.5",
    "http=on stroom=300",
    "status: 503, statusLine: 404",
    "Stroom-Status, Stroom-Error and 110 other headers",
    "The header 'Stroom-Status' has 110 uses.",
    "ORA-00406: COMPATIBLE parameter needs to be 12.0.0 or greater",
    "ERROR 2002 (HY000): Can't connect to local server through socket (111)",
    "ERROR 1045 (28000): Access denied for user",
    "kernel: [  404.503200] usb 1-1: device descriptor read/64, error -110",
    "E: dpkg returned an error code (1) after 404 packages",
    "make: *** [Makefile:404: all] Error 2",
    "gcc: error: 404.c: No such file or directory",
    "java.lang.Exception at Foo.java:404 and Bar.java:503",
    'Traceback: File "a.py", line 404, in get',
    "sha256:404aa503bb200cc 406/110/2",
    "rsync error: some files could not be transferred (code 23) at main.c(503)",
    "ping: 404 packets transmitted, 200 received, 50% packet loss",
    "64 bytes from 10.0.0.1: icmp_seq=404 ttl=503 time=200 ms",
    "scp: file.404 100% 503 200KB/s 00:00",
    "Took 503 from the shelf, gave 404 to the boy, and saw 200 more.",
    "We see 503 from here, the tower with 404 steps.",
    "I see 500 here and 404 there.",
    "You get 500 back, I get 404.",
    "She got 500 again and he got 410 again.",
    "Everyone gets 200 now.",
    "Prices: 404, 410 and 503; you get 200 off.",
    "The API of the city has 404 members who got 503 letters.",
    "On 4.04. we sent 503, got 404 and lost 99.",
    "The endpoint of the line, 404 km away, gets 500 trains.",
    "The line ended with 404.",
    "He died with 500 in the bank.",
    "Their backend team received 410 applications, upstream 503.",
    "The url shortener has made 404 links and received 500 stars.",
    "Our curling club received 503 stones; wget well soon to 404.",
    "The datafeed has 404 lines; it gave 500 records from 3 files.",
    "The requests of 404 people were answered with 503 letters.",
    "The server returned 404 of the 500 dishes.",
    "The server returned 404 dishes.",
    "The backend returned 500 rows and 404 columns.",
    "The API returned 200 items on 3 pages.",
    "The API returns 100 results by default, at most 500.",
    "curl got 404 bytes and 500 more.",
    "nginx serves 503 sites and receives 500 requests per second.",
    "The endpoint receives 410 calls a minute.",
    "Upstream received 503 salmon this spring.",
    "Backends: 404, 500 and 503 MB of memory.",
    "Cloudflare gives 500 free requests; HTTP gives 200.5.",
    "Warning: Problem : HTTP error. Will retry in 1 seconds. 3 retries left.",
    '{"responseElements":null,"errorCode":"403"}',
    "code=503",
]


@pytest.mark.parametrize("text", SILENT)
def test_a_number_that_counts_measures_or_names_something_else_is_no_code(text: str) -> None:
    assert codes(text) == []


def test_no_prose_becomes_a_code_by_standing_beside_other_prose() -> None:
    for joined in ("\n".join(SILENT), "\r\n".join(SILENT), "\n\n".join(reversed(SILENT))):
        assert codes(joined) == []


_COUNTED = """apples people votes euros pages km bricks visitors seats of miles letters days letters boxes swans
teachers, cars. lights;""".split()
_SENTENCE = st.tuples(
    st.sampled_from(["He", "The council", "Our team", "The server", "A client", "The proxy", "My request", "They"]),
    st.sampled_from("got gets received returned answered gave sees saw throws replied rejected wants sent".split()),
    st.sampled_from(["", "us ", "back ", "only ", "another ", "some ", "about ", "the ", "with ", "at least "]),
    st.integers(100, 599),
    st.sampled_from(_COUNTED),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_SENTENCE, min_size=1, max_size=6))
def test_whoever_gets_a_number_of_things_gets_no_code(sentences: list[tuple[str, str, str, int, str]]) -> None:
    text = " ".join(f"{who} {did} {how}{count} {what} yesterday." for who, did, how, count, what in sentences)
    assert codes(text) == []
