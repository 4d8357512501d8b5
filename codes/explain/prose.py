"""Finds status codes in what people write: "Got a 503", "we get 406/110", "Backend returned 504". Pure.

A sentence says that a number is an answer by its verb, by what follows the number, and by what it is about. "Got a
503" and "got 412 replies" differ in no single sign, so several have to agree; where they do not, the number counts
something.
"""

import re
from collections.abc import Collection, Iterator, Mapping

Pairs = Mapping[int, Collection[int]]

_STATUS = r"[1-5]\d\d"
_OF_STROOM = r"(?:0|1[0-2]\d|200|30[0-4]|31[0-5]|400|410|999)"
# What the sentence is about. The first alone leave no doubt; the others have other senses too.
_PLAIN_TOPIC = re.compile(
    r"""\b(?:https?|api|urls?|endpoints?|backends?|upstreams?|nginx|haproxy|envoy|traefik|curl|wget|webhooks?|
    datafeed|stroom|cloudflare|ingress|load[ ]balancers?|status[ ]codes?)\b|\b(?-i:POST|GET|PUT|HEAD|DELETE)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_TOPIC = re.compile(
    r"\b(?:servers?|prox(?:y|ies)|gateways?|apache|balancers?|requests?|uploads?|uploading|portal|browsers?|clients?)\b",
    re.IGNORECASE,
)
# All that may stand before the verb where the text is one short sentence about oneself.
_ABOUT_ONESELF = re.compile(
    r"""(?:(?:hi|hello|hey|help|so|and|but|now|then|still|just|only|always|sometimes|suddenly|again|why|when|what|how|
    do|does|did|is|are|am|was|were|i|we|you|it|they|i'm|we're|it's|i've|we've|have|has|had|keep|keeps|kept|on|can|
    could|should|would|will|to|if|since|yesterday|today|everything|everyone|nobody|mine|ours|this|that|here)[,:]?\s+
    ){0,10}""",
    re.IGNORECASE | re.VERBOSE,
)
_MOST_ALONE = 120
_FILLER = r"""(?:(?:an?|another|the|this|that|me|us|them|it|back|only|always|just|still|often|sometimes|again|now|
    constantly|randomly|intermittently|intermittent|occasional|random|constant|frequent|many|some|lots[ ]of|
    a[ ]lot[ ]of|loads[ ]of|nothing[ ]but|http|status|code|error|response)[ ]){0,4}?"""
_NO_COUNT = re.compile(
    r"\b(?:intermittent|occasional|random|constant|frequent|lots of|a lot of|loads of|nothing but)\b", re.IGNORECASE
)
_ARTICLE = re.compile(r"\b(?:an?|another|http|status|code|error)\b", re.IGNORECASE)
_END = r"""(?:\s*\Z|[.!?;)\]"'”’…]{1,3}(?:\s|\Z)|,\s(?!\d|(?:and|or)\s\d)|:(?:\s(?!\d)|\Z)|\ ?[–—]\ |\ -[ ]
    |\ \((?!\d)|\s*\r?\n(?!\d))"""
_SHORTLY = (
    r"\ (?:error|response|status|code|back|again|when(?:ever)?|every\ time|each\ time|instead|sometimes|now)\b"
)
_FURTHER = r"""\ (?:from|while|after|on\ (?:the|every|each|all|our|my|POST|GET|PUT|/)|every|each|with\ (?:the
    |stroom|every|this|no|an?)|but|because|since|until|here|if|today|via|through|unless|and\ (?!\d)
    |in\ (?:the|our|my)\ (?:(?:access|error|nginx|apache|proxy|server|haproxy|envoy)\ )?
        (?:logs?|browser|client|console|response)
    |for\ (?:every|each|all|any|this|that|my|our|the)\ (?:requests?|uploads?|files?|feeds?|posts?|calls?|urls?
        |pages?|clients?))\b"""
_SAID = re.compile(
    rf"""(?<![\w/.'’-])
    (?:(?P<answers>return(?:s|ed|ing)?|respond(?:s|ed|ing)?(?:\ with)?|answer(?:s|ed|ing)?(?:\ with)?
            |repl(?:y|ies|ied|ying)\ with|throw(?:s|ing)?|threw|c[oa]mes?\ back\ with|coming\ back\ with)
        |(?P<fails>fail(?:s|ed|ing)?\ with|reject(?:s|ed)?\ (?:it\ |them\ |us\ )?with|refused?\ with|die[sd]?\ with
            |end(?:s|ed)?\ (?:in|with|up\ (?:in|with)))
        |(?P<gets>gets?|got|getting|receive[sd]?|receiving|give[sn]?|gave|giving|see|sees|saw|seeing)
    )[ ](?P<filler>{_FILLER})
    (?P<http>{_STATUS})
    (?:(?:,[ ]|,?[ ](?:and|or)[ ])(?P<http_second>{_STATUS})
        (?:(?:,[ ]|,?[ ](?:and|or)[ ])(?P<http_third>{_STATUS}))?
    |[ ]?[/+][ ]?(?:(?P<stroom>{_OF_STROOM})|(?P<http_other>{_STATUS}))
    |[ ](?:with|and|plus)[ ](?:a[ ])?stroom(?:[- ]status)?[ :=]{{1,2}}(?P<stroom_named>0|[1-9]\d{{0,2}})\b
    |(?P<plural>s)\b
    )?(?!\w)
    (?P<follow>(?={_END})|(?P<shortly>(?={_SHORTLY}))|(?={_FURTHER})|(?P<counted>(?=\ (?:errors|responses)\b)))""",
    re.IGNORECASE | re.VERBOSE,
)
# "a 404 error", "this 503 response"; at the begin of a short text also without the article.
_NOUN = re.compile(
    rf"""(?:(?<![\w.,/-])(?P<article>an?|another|this|that|your|our|the|http)[ ]|(?P<first>\A\s*))
    (?P<http>[345]\d\d)[ ](?:errors?(?=\s*\Z)|error|response|status)(?![-\w])
    (?={_END}|\ (?:from|when(?:ever)?|while|after|on|every|again|is|was|means?|page|message|code|because
        |instead)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
# "the 406/110 again": two numbers that Stroom sends together, in a sentence about answers.
_PAIR = re.compile(
    rf"""(?<![\w./:$€£+-])(?P<http>{_STATUS})(?:[ ]?/[ ]?|[:-])(?P<stroom>{_OF_STROOM})
    (?={_END}|{_SHORTLY}|{_FURTHER}|[ ]feed\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_ABOUT_ANSWERS = re.compile(
    r"\b(?:errors?|status(?:es)?|codes?|answer(?:s|ed)?|refus(?:ed|al|als)|reject(?:ed|s|ions?)?|datafeed|stroom|https?)\b",
    re.IGNORECASE,
)
# The whole text asks for a meaning: "what's a 504?".
_ASKED = re.compile(
    rf"""\A\s*(?:what(?:['’]s|s|[ ]is|[ ]does|[ ]are)|whats|why|meaning[ ]of|explain|define)[ ]
    (?:(?:an?|the|this|http|error|status|code|is|it|getting|i|get)[ ]){{0,5}}(?P<http>{_STATUS})s?
    (?:[ ](?:error|errors|status|code|response|mean|means|is|stand|for|in|http)){{0,4}}\s*[?.!]*\s*\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_FIRST_ERROR = 400
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_MOST_BEFORE = 300


def spoken(text: str, known: Collection[int], pairs: Pairs) -> Iterator[re.Match[str]]:
    """Every passage in which somebody says which answer came; its groups `http…` and `stroom…` are the numbers.

    Args:
        text: what was written.
        known: the HTTP statuses that the catalogue has; others are taken for counts.
        pairs: for each Stroom-Status the HTTP statuses that it comes with.
    """
    for match in _SAID.finditer(text):
        if _are_known(match, known) and _fits(match, pairs) and _is_meant(match):
            yield match
    if (asked := _ASKED.match(text)) and int(asked["http"]) in known:
        yield asked
    for match in _NOUN.finditer(text):
        if int(match["http"]) in known and (match["article"] or _is_short(text)):
            yield match
    for match in _PAIR.finditer(text):
        if _fits(match, pairs) and _ABOUT_ANSWERS.search(_sentence(match)):
            yield match


def _are_known(match: re.Match[str], known: Collection[int]) -> bool:
    """Any number can be an answer, but an unassigned one has to be called so: "a 471 from the proxy"."""
    numbers = (match[group] for group in ("http", "http_second", "http_third", "http_other"))
    codes = [int(number) for number in numbers if number]
    if all(code in known for code in codes):
        return True
    sentence = _sentence(match)
    topic = _PLAIN_TOPIC.search(sentence) or _TOPIC.search(sentence)
    return min(codes) >= 400 and bool(topic and _ARTICLE.search(match["filler"]))


def _fits(match: re.Match[str], pairs: Pairs) -> bool:
    """Whether the second number may be Stroom's next to the first; "503/504" and "3 of 5" never are."""
    if match["stroom"] is None:
        return True
    return int(match["http"]) in pairs.get(int(match["stroom"]), ())


def _is_meant(match: re.Match[str]) -> bool:
    """Whether the signs agree that the number is an answer."""
    sentence, code = _sentence(match), int(match["http"])
    plain = _PLAIN_TOPIC.search(sentence) is not None
    alone = _is_alone(match)
    if match["counted"] is not None and not _NO_COUNT.search(match["filler"]):
        return False
    if match["stroom"] or match["stroom_named"] or (match["plural"] and code >= _FIRST_ERROR):
        return True
    if match["shortly"] is not None and code > _FIRST_ERROR and code % 100 and _ARTICLE.search(match["filler"]):
        return True
    if not (plain or alone or _TOPIC.search(sentence)):
        return False
    if match["fails"] or match["plural"]:
        return code >= 300
    exact = code % 100 != 0
    if match["answers"]:
        return plain or exact or bool(_ARTICLE.search(match["filler"])) or not alone
    return bool(_ARTICLE.search(match["filler"])) or (code >= 300 and (exact or plain))


def _is_alone(match: re.Match[str]) -> bool:
    """Whether the whole text is one short sentence about oneself that ends with the number or nearly so."""
    text = match.string
    if not _is_short(text) or _ABOUT_ONESELF.fullmatch(text[: match.start()].lstrip()) is None:
        return False
    return bool(match["shortly"] is not None or not text[match.end() :].strip(" .!?\r\n\t") or match["stroom"])


def _is_short(text: str) -> bool:
    return len(text) <= _MOST_ALONE and "\n" not in text.strip()


def _sentence(match: re.Match[str]) -> str:
    """Return the text around the passage, without the passage."""
    text, start, end = match.string, match.start(), match.end()
    before = _SENTENCE_END.split(text[max(0, start - _MOST_BEFORE) : start])[-1]
    after = _SENTENCE_END.split(text[end : end + _MOST_BEFORE], maxsplit=1)[0]
    return f"{before} … {after}"
