"""Shapes of single programs and of other languages, each with an example and a text that it does not match. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

from codes.explain.patterns import (
    ACCESS_LOG,
    CLIENT_ERROR,
    IN_TEXT,
    LOG_FIELD,
    METHOD,
    NO_COUNT,
    STATUS,
    STATUS_LINE,
    Shape,
    shape,
)

# Numbers of Stroom that are no statuses of HTTP in the same sentence: "Stroom returned 302" is a redirect.
_ONLY_STROOM = r"(?:10[0-4]|11[0-3]|120|300|31[0-5]|999)"
_STROOM = rf"(?:0|200|30[1-4]|4[01]0|{_ONLY_STROOM})"
_ENDS = r"(?=\s*(?:\r?$|[.,;!?)\]]))"
# Words for "error" in languages that the shapes of clients do not have.
_ERROR_WORDS = (
    "Felkod|Fel|Chyba|Virhe|Fejl|Feil|Помилка|오류|에러|Hiba|Eroare|Σφάλμα|خطأ|خطا|שגיאה|Lỗi|Greška|Napaka"
)
# Words for the number itself, in whatever case the sentence needs, right before it.
_NUMBER_WORDS = (
    r"код(?:ом|у)?(?:\ (?:ошибки|ответа|состояния|помилки|відповіді))?|ошибк(?:а|у|ой)|статус(?:ом)?|помилк[ау]|стан\ відповіді"
    r"|(?:Fehler|Antwort|Rückgabe)(?:code|nummer)|Fehlernummer|c[óo]digo|codice|chyb(?:a|u|ou)|kódem|kod(?:em)?\ (?:odpowiedzi|błędu)|błęd(?:em|u)"
    r"|svarade\ med|svarte\ med|svarede\ med|virhe(?:en|koodi(?:n)?)|fejlkode|feilkode|foutcode|ステータス(?:コード)?|エラー(?:コード)?"
    r"|(?:状态|狀態|错误|錯誤|响应)(?:码|碼|代码)|(?:ال)?رمز|(?:ال)?خطأ|كود|קוד|שגיאה"
)


#: What is said of Stroom's own numbers; these come before every other shape.
OF_STROOM: tuple[Shape, ...] = (
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])Stroom[\ -](?:(?:status|error)\ code|error|code)[\ :=]{{1,2}}(?P<stroom>{_STROOM})\b{NO_COUNT}",
        "Stroom status code: 300",
        "Stroom status code: 503",
    ),
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])Stroom\ (?:returned|returns|answered|answers|says|said|gave|sent|sends)[\ :]{{1,2}}(?P<stroom>{_ONLY_STROOM}){_ENDS}",
        "Stroom returned 110",
        "Stroom returned 302",
    ),
    shape(
        IN_TEXT,
        rf"\b(?:code|status|error)\ (?P<stroom>{_ONLY_STROOM})\ (?:from|by|of)\ stroom\b",
        "code 110 from Stroom",
        "code 110 from the shop",
    ),
    shape(
        LOG_FIELD,
        rf"(?<=\d[,;]\ )stroom[:=]\ ?(?P<stroom>{_STROOM})\b(?![.\d])",
        "status: 406, stroom: 110",
        "in 2026, stroom: 7.2",
    ),
)

#: What single programs and other languages write; these come after the general shapes.
DIALECTS: tuple[Shape, ...] = (
    shape(
        LOG_FIELD, rf"\bRESPONSE_CODE:\ \[(?P<http>{STATUS})\]", "RESPONSE_CODE: [401]", "RESPONSE_LINE: [401]"
    ),  # send_to_stroom.sh with --debug
    shape(
        LOG_FIELD,
        rf"\b(?:Be)?resp(?:onse)?Status\ {{1,8}}(?P<http>{STATUS})\b(?![.\d])",
        "-   BerespStatus   404",
        "-   BerespProtocol   404",
    ),  # Varnish
    shape(
        LOG_FIELD,
        rf"\bresponse:\ (?P<http>{STATUS}),\ (?:time|size|duration|took)\b",
        "response: 503, time: 0.404s",
        "response: 503 items",
    ),
    shape(
        LOG_FIELD,
        rf"\bstatus(?:_?code\)?(?:\ ?(?:->|=>|→)\ ?|\r?\n(?:>>>\ )?)|\ ?=>\ ?)(?P<http>{STATUS})(?=\s*\r?$)",
        "print(r.status_code)\n406",
        "print(r.status_code) + 406",
    ),
    shape(
        IN_TEXT,
        rf"(?<![\w./:-])HTTP(?:[–—=/]|\ ?\()(?P<http>{STATUS})\b{NO_COUNT}(?![\w/])",
        "HTTP(503)",
        "HTTP/503/x",
    ),
    shape(
        CLIENT_ERROR,
        r"""(?<![\w./:-])(?:(?:HTTP\ )?err(?:or)?[:=]\ ?|err\ |error\ \#|error\ code\ ?[–-]\ ?)(?P<http>[45]\d\d)
        (?=\s*(?:\r?$|[,;)\]"']\s))""",
        "error=503",
        "error=503 of 504",
    ),
    shape(
        CLIENT_ERROR,
        rf"""\b(?:upload|request|post|put|send|sending|push|delivery|transfer|download|fetch)\b[^\r\n]{{0,100}}?
        \bfailed:\ (?P<http>[45]\d\d)\b{NO_COUNT}{_ENDS}""",
        "ERROR:root:upload of a.log failed: 503",
        "tests failed: 503",
    ),
    shape(
        ACCESS_LOG,
        rf"\b{METHOD}\ /\S{{0,2000}}\ \d(?:\.\d)?\ (?P<http>{STATUS})\ \d+\ \d+\r?$",
        "[INFO] 10.0.0.1:404 POST /datafeed 1.1 503 62 1200",
        "POST /datafeed 1.1 503",
    ),  # Hypercorn
    shape(
        CLIENT_ERROR,
        r"\bcode\ (?P<http>[45]\d\d),\ message\ ",
        "code 501, message Unsupported method ('POST')",
        "code 501, messages",
    ),  # http.server
    shape(
        CLIENT_ERROR,
        r"\b(?:StatusCode|HttpStatus|HTTPStatus)(?:::|\.)[A-Z_]{2,40}\ ?\((?P<http>[1-5]\d\d)\)",
        "StatusCode::SERVICE_UNAVAILABLE (503)",
        "StatusCode::SERVICE_UNAVAILABLE",
    ),
    shape(
        CLIENT_ERROR,
        r"(?<![\w:])(?:\w{1,60}::){1,4}\w{0,60}(?:Error|Exception)\w{0,20}(?::\ |\ \()(?P<http>[45]\d\d)\b(?![.\d])",
        "HTTParty::Error: 503",
        "HTTParty::Errors 503",
    ),  # Ruby
    shape(CLIENT_ERROR, r"\ @code=\"?(?P<http>[45]\d\d)\b", "#<HTTParty::Response:0x7f @code=406>", "@count=406"),
    shape(
        STATUS_LINE,
        rf"\[HTTP/\d(?:\.\d)?\ (?P<http>{STATUS})(?:\ [^\]\r\n]{{0,60}})?\ {{1,3}}\d+\ ?ms\]",
        "[HTTP/2 413  24ms]",
        "[HTTP/2 413",
    ),  # Firefox
    shape(
        LOG_FIELD,
        rf"^Status(?:\ Code)?:?\r?\n\ {{0,4}}(?P<http>{STATUS})(?=\s*\r?$)",
        "Status\n503\nService Unavailable",
        "Status\nof 503 orders",
    ),  # Safari
    shape(
        CLIENT_ERROR,
        r"\bstatus:\ (?P<http>[45]\d\d),\s{1,40}(?:response|headers|body|data|error|method|url|message|ok):",
        "Error: Not Acceptable\n  status: 406,\n  response: Response {",
        "status: 406, bytes: 200",
    ),
    shape(
        CLIENT_ERROR,
        r"\bERR_BAD_(?:RESPONSE|REQUEST)\b[^\r\n\d]{0,40}(?P<http>[45]\d\d)\b",
        "ERR_BAD_RESPONSE status: 502",
        "ERR_BAD_OPTION 502",
    ),
    shape(
        CLIENT_ERROR,
        rf"^{METHOD}\ https?://\S{{1,2000}}\r?\n(?P<http>{STATUS})\r?\n\d+(?:\.\d+)?\ m?s\b",
        "POST https://x/datafeed\n406\n12 ms",
        "POST https://x/datafeed\n406\nbytes",
    ),  # Postman's console
    shape(
        CLIENT_ERROR,
        r"\bAccess\ denied\ with\ code\ (?P<http>[45]\d\d)\b",
        "ModSecurity: Access denied with code 403 (phase 2).",
        "Access denied with code 4030",
    ),
    shape(CLIENT_ERROR, r"^default\ backend\ -\ (?P<http>404)\b", "default backend - 404", "backend - 404"),
    shape(
        CLIENT_ERROR,
        rf"""(?<!\w)(?:(?:{_ERROR_WORDS})\ ?:?\ (?P<http>[45]\d\d)\b{NO_COUNT}{_ENDS}
        |(?:fel|fout|fejl|feil|错误|錯誤|오류|chyb\w{{0,3}})[^\r\n:(]{{0,40}}:\ ?\((?P<http2>[45]\d\d)\)
        |(?:상태|응답)\ ?코드\ ?:?\ ?(?P<http3>{STATUS})\b{NO_COUNT})""",
        "Felkod: 404\n错误: (502)\n응답 코드: 503",
        "Fel 404 av 503",
    ),
    shape(
        CLIENT_ERROR,
        rf"(?<!\w)(?:{_NUMBER_WORDS})\ ?[:：]?\ ?\(?(?P<http>[45]\d\d)\b{NO_COUNT}(?=\s*(?:\r?$|[.,;!?)。]|が|を|と|로|を返))",
        "Сервер вернул ошибку 502",
        "код 503 города",
    ),
    shape(
        CLIENT_ERROR,
        r"(?<![\w.])(?P<http>[45]\d\d)\ ?(?:hata(?:sı)?\b|エラー|が返|を返|오류|에러|错误|錯誤|virhe\b)",
        "Sunucu 503 hatası döndürdü",
        "503 hatıra",
    ),
    shape(
        CLIENT_ERROR,
        r"(?:返回了?错误|伺服器傳回錯誤|エラーを返しました)\ ?[:：]\ ?\(?(?P<http>[45]\d\d)\b",
        "远程服务器返回错误: (503) 服务器不可用。",
        "错误 503 个",
    ),
    shape(
        CLIENT_ERROR,
        rf"""\b(?:Antwort|Réponse|Respuesta|Risposta|Resposta)\ (?:vom|des|du|del|dal|do)\ \w{{2,12}}\ ?:\ ?
        (?P<http>{STATUS})\b{NO_COUNT}""",
        "Antwort vom Server: 406",
        "Antwort vom Server in 406 ms",
    ),
    shape(
        CLIENT_ERROR,
        rf"""\b(?:antwortete?t?|meldete?t?|lieferte?t?|répond|répondu|renvoie|retourne|respondió|responde|devuelve
        |devolvió|risposto|risponde|restituisce|respondeu|retornou)\b[^\r\n\d]{{0,40}}?
        (?<=mit\ |ode\ |tus\ |tat\ |ado\ |ato\ |ler\ |eur\ |ror\ |ore\ |rro\ )(?P<http>{STATUS})\b{NO_COUNT}
        (?=\s*(?:\r?$|[.,;!?)])|\ (?:zurück|auf|bei|beim|pour|quand|para|cuando)\b)""",
        "Der Server antwortete mit Status 503",
        "Das Lager lieferte mit 503 Kisten",
    ),
    shape(
        CLIENT_ERROR,
        r"\b(?:bekomm|erhalt|krieg)\w{1,3}\b[^\r\n\d]{0,30}?(?P<http>[345]\d\d)\ (?:vom|von|beim|als\ Antwort|zurück)\b",
        "Wir bekommen immer 503 vom Server",
        "Wir bekommen 503 Briefe",
    ),
)
