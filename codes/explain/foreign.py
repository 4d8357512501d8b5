"""Numbers of other protocols and programs, which are no HTTP statuses whatever they look like. Pure."""

# ruff: noqa: E501 (a pattern reads best in as few lines as it has parts)

import re

# Each alternative covers all of the passage, so that nothing within it is taken for a code.
FOREIGN = re.compile(
    r"""\b(?:SIP|RTSP|MSRP|ICAP|STUN)/\d\.\d\ \d{3}\b[^\r\n]{0,100}
    | \bICY\ \d{3}\b[^\r\n]{0,40}
    | \b(?:SIP|RTSP|ICAP|RADIUS|VoIP)\ [45]\d\d\b[^\r\n]{0,100}
    | \b(?:kamailio|opensips|asterisk|freeswitch|chan_sip|pjsip|sofia)\b[^\r\n]{0,200}
    | \bAdditionally,\ an?\ \d{3}\ [^\r\n<>]{1,60}\s+error\s+was\s+encountered\b[^\r\n]{0,100}
    | \b(?:FTPS?|SFTP|SMTPS?|NNTP|IMAP|POP3|LDAP|SNMP|gRPC|SQL|Kafka|MQTT|RADIUS|DIAMETER|SSH|Redis|AMQP|postgres(?:ql)?|mysql|oracle)\ (?:\w{1,20}\ ){0,3}?
        (?:reply|status|response|result|reason|error|return)?\ ?(?:code)?:?\ ?\d{1,5}\b(?:\ [A-Z][^\r\n]{0,80})?
    | \b(?:code=(?:exited|killed|dumped),\ )?status=\d{1,3}/[\w/]{1,20}
    | \bcode=(?:exited|killed|dumped),\ status=\d{1,3}
    | (?<!curl\ )(?<!curl\ failed\ with\ )\b(?:exit(?:ed|s|ing)?|terminat(?:ed|es)|finish(?:ed|es)
    |quit|died|non-?zero)
        (?:\ (?:with|by|non-?zero|the|an?)){0,3}\ (?:exit\ )?(?:status|return|code|value)
        (?:\ (?:code|status|value))?(?:\ (?:of|was|is))?[:=]?\ ?-?\d{1,5}\b
    | \breturn\ code\ \d{1,5}\ from\b
    | ^[2-5]\d\d[ -][2-5]\.\d{1,3}\.\d{1,3}\b[^\r\n]{0,200}
    | \b[45]\d\d\ [45]\.\d{1,3}\.\d{1,3}\b[^\r\n]{0,200}
    | ^(?:ftp>\ )?(?:421\ Service\ not\ available,|425\ Can't\ open\ data|550\ |530\ Login|226\ |227\ )[^\r\n]{0,200}""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
