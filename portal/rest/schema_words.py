"""What each key of the API's JSON means: the words of the OpenAPI description where a serializer has none.

One word for a key that means the same wherever it stands, in `EVERYWHERE`; what differs stands by its component.
"""

from collections.abc import Iterator, Mapping
from typing import Any

EVERYWHERE: Mapping[str, str] = {
    "registry": "`http` or `stroom`.",
    "code": "The number.",
    "owner": "Slug of who gives the number this meaning.",
    "name": "Its name.",
    "url": "Its page in this portal.",
    "slug": "Its name in addresses.",
    "summary": "In a sentence or two.",
    "lines": "First and last line in the source's document, counted from 1; null where it has none.",
    "source": "Slug of the source.",
    "document": "The document's short name, as in RFC 9110.",
    "section": "The section in it; empty for the whole.",
    "key": "Its name in addresses, as in `4xx`.",
    "standing": "How official the number is.",
    "first": "The first number of the class.",
    "last": "The last number of the class.",
    "fallback": "The number as which an unknown one of this class is treated; null where none is laid down.",
    "direction": "`request` or `response`: which of them carries the header.",
    "level": "How binding it is: `must`, `should` or `may`.",
    "note": "What else there is to say; may be empty.",
    "local_note": "What this site has written beside it; null without.",
    "rfcs": "Documents that the source cites here.",
    "claims": "What the source says in a form that can be compared.",
    "entries": "What each source says, in its order.",
    "valid": "Whether there can be such a number in the registry.",
    "known": "Whether the catalogue knows the number.",
    "treat_as": "The number as which a client treats one that it does not know; null where none is laid down.",
    "aspect": "What they differ in, such as `retry` or `name`.",
    "severity": "How much it matters.",
    "positions": "Who says what; at least two sources.",
    "standard": "What the standard says.",
    "standard_reference": "Where it says so.",
    "advice": "What to do about it.",
    "authored": "Whether a person explained it; else it was computed.",
    "class": "Key of its class, by the first digit.",
    "count": "How many there are altogether.",
    "next": "Address of the following page; null on the last.",
    "previous": "Address of the page before; null on the first.",
    "results": "The items of this page.",
    "retry": "Whether and how to send again.",
    "sender": "For who sent the request.",
    "server": "For who runs the server that answered.",
    "administrator": "For who administers Stroom or the network between.",
    "http_status": "The HTTP status.",
    "stroom_status": "The Stroom-Status.",
    "at": "When.",
    "request_id": "`X-Request-ID` of the request.",
    "remote_address": "From where: the caller's address as the portal saw it.",
    "comment": "Why; kept with it.",
    "sender_dn": "DN of the verified client certificate; null without one.",
    "trace": "Every step of the decision, in order.",
    "explanation": "In words.",
    "feed": "Name of the Stroom feed.",
    "scopes": "What it is good for: `read`, `write`, `check`.",
    "id": "Its number, for addresses.",
    "rows": "One for each.",
}

OF: Mapping[str, Mapping[str, str]] = {
    "Claim": {
        "key": "What is claimed, such as `retry`.",
        "value": "What the source says of it.",
        "level": "How binding.",
    },
    "Class": {
        "name": "Its name, as in Client Error.",
        "client_rules": "What a client does with any number of the class.",
        "specs": "Where it is laid down.",
        "source_notes": "What sources say of the class as a whole.",
        "codes": "Its codes.",
    },
    "Code": {
        "name": "Name of its first meaning; empty for a number without one.",
        "class": "Its class, by the first digit; null for a Stroom-Status outside the hundreds that have one.",
        "registered": "When IANA registered it; empty where it did not.",
        "expires": "When a temporary registration ends; empty otherwise.",
        "standing_note": "What else there is to say of its standing.",
        "http_statuses": "Of a Stroom-Status: the HTTP statuses that it comes with, the documented one first.",
        "meanings": "One for each owner; the registered one first.",
        "disagreements": "Where the sources differ.",
        "constants": "How programs call it.",
        "local_notes": "What this site has written.",
    },
    "Comparison": {
        "count": "How many codes.",
        "results": "The codes, in the order asked for.",
        "rows": "One for each aspect.",
    },
    "ComparisonRow": {
        "aspect": "What is compared.",
        "values": "One for each code, in the order asked for.",
        "differs": "Whether they differ in it.",
    },
    "Constant": {
        "language": "Programming language.",
        "library": "Library or module.",
        "name": "The constant as it is written in programs.",
        "since": "Version that brought it; empty if it was always there.",
        "until": "Last version that has it; empty if it is still there.",
    },
    "CheckRequest": {
        "headers": "Names and values as a sender would write them; identity headers among them are ignored.",
        "sender_dn": "Subject of the client certificate; null for none.",
        "certificate": "Instead of `sender_dn` and `verified`.",
    },
    "DescribedCertificateRequest": {
        "dn": "Its subject; empty for no certificate.",
        "verified": "Whether the proxy verified it.",
        "expires": "The end of its validity as the proxy would write it.",
    },
    "Disagreement": {"owner": "Slug of the owner whose meaning it is about; empty for the whole number."},
    "ListedDisagreement": {
        "owner": "Slug of the owner whose meaning it is about; empty for the whole number.",
        "code": "The number; null where it is about a class.",
        "class": "Key of the class that it is about; null where it is about a number.",
    },
    "DryRun": {
        "decision": "What would happen to the data.",
        "message": "The message that belongs to the Stroom-Status.",
        "response": "What `/datafeed` would send.",
    },
    "WouldAnswer": {"headers": "Names and values.", "body": "The text; `<receipt id>` stands where an id would."},
    "Entry": {"name": "The name as the source spells it."},
    "SourceEntryOfSource": {"name": "The name as the source spells it."},
    "ExplainedCode": {"name": "Its name; empty for a number without one."},
    "ExplainedPair": {
        "http": "The HTTP status; null without one.",
        "stroom": "The Stroom-Status; null without one.",
        "consistent": "Whether the two belong together; null where there is only one.",
        "generation": "Which Stroom sends it so; null where nobody does.",
    },
    "Explanation": {
        "message": "What was found, in a sentence.",
        "recognised": "Passages of the text that name a code.",
        "pairs": "The numbers that belong to one answer.",
        "codes": "Every code that was recognised, once.",
        "advice": "What to do, for each reader.",
    },
    "Feed": {
        "description": "What is sent here.",
        "classification": "How confidential the data is, in the site's own words.",
        "owner": "Who to ask about this feed.",
        "certificate_rules": "Who may send; a list in a request replaces all there are.",
        "stream_type": "Stroom's type of stream.",
        "encoding": "Encoding of the data.",
        "context_encoding": "Encoding of the context data.",
        "data_format": "Format of the data, such as XML.",
        "schema": "Schema of the data.",
        "schema_version": "Version of the schema.",
        "reference": "Whether it is reference data.",
        "labels": "Words to find feeds by.",
        "version": "Grows with every change; the ETag has it.",
        "created": "When it was made.",
        "updated": "When it was changed last.",
    },
    "Rule": {"action": "Whether who matches may send; `deny` beats `allow`.", "comment": "For people."},
    "FormerName": {"name": "The former name.", "until": "Until when, or in which document, it was called so."},
    "Header": {"name": "The header as it is usually written.", "codes": "The codes that it belongs to."},
    "HeaderCode": {"name": "Name of the code's meaning."},
    "HeaderUse": {"name": "The header as it is usually written."},
    "History": {
        "action": "What was done to the feed; a change of its rules alone is `changed`.",
        "user": "Who; null where a command did it or the user is gone.",
        "version": "Version of the feed since; null for a change of rules alone.",
        "changes": "Every difference.",
    },
    "HistoryChange": {
        "field": "Key of the feed; `certificate_rules` for one rule.",
        "old": "Before; null for what was added.",
        "new": "After; null for what was removed.",
    },
    "ImportCounts": {
        "create": "Feeds that would be made.",
        "change": "Feeds that would be changed.",
        "same": "Feeds that are so already.",
        "fault": "Rows that cannot be imported; with one, nothing is.",
    },
    "ImportPlan": {
        "kind": "What the file was taken for.",
        "dry_run": "Whether nothing was written.",
        "counts": "How many rows there are of each kind.",
        "rows": "One for each feed of the file.",
    },
    "ImportRow": {
        "name": "Name of the feed.",
        "action": "What the import does with it.",
        "changes": "Every difference to what there is.",
        "faults": "Why it cannot be imported.",
    },
    "ListedCode": {
        "name": "Name of its first meaning.",
        "owners": "Slugs of all who give it a meaning.",
        "retry": "Verdict of its first meaning.",
    },
    "LocalNote": {"owner": "Slug of the owner whose meaning it is beside.", "updated": "When it was changed last."},
    "Meaning": {
        "former_names": "What it was called before.",
        "vendors": "Slugs of the vendors that use it so.",
        "detail": "More than the summary, where there is more to say.",
        "what_to_do": "Advice for each reader.",
        "carried": "What an answer with it carries.",
        "cacheability": "Whether it may be cached: `heuristic`, `explicit` or `never`.",
        "body": "Whether it may have a body.",
        "methods": "The request methods that it answers; empty for all.",
        "headers": "Headers that belong to it.",
        "specs": "Where it is laid down.",
        "related": "Codes that it is confused with, that replace it or that follow it.",
    },
    "NewToken": {
        "token": "The secret, shown in this answer and never again.",
        "name": "What will use it.",
        "expires": "From this instant on it is worth nothing; null: never.",
    },
    "Token": {
        "scopes": "What it is good for.",
        "created": "When it was issued.",
        "last_used": "When it was used last, to the minute; null: never.",
    },
    "TokenRequestRequest": {"username": "Whose token it is.", "password": "That user's password."},
    "Pair": {
        "http": "The HTTP status; null where none was asked for.",
        "stroom": "The Stroom-Status; null where none was asked for.",
        "consistent": "Whether the two belong together; null where there is only one.",
    },
    "Passage": {"line": "Its line in the text, counted from 1.", "passage": "The passage itself."},
    "Position": {"text": "What the source says."},
    "Problem": {
        "title": "Name of the status.",
        "status": "The HTTP status.",
        "detail": "What is wrong with this request.",
        "instance": "The address that was asked.",
        "request_id": "`X-Request-ID` of this request, to find it in the log.",
        "errors": "Each fault, where there can be several.",
    },
    "ProblemError": {
        "index": "Position in the list that was sent, from 0.",
        "parameter": "Name of the query parameter.",
        "field": "Key of the body, with dots for what lies deeper; empty for the whole.",
        "detail": "What is wrong with it.",
    },
    "Receipt": {
        "id": "The receipt id that the sender was given.",
        "feed": "Feed of the request.",
        "feeds": "All feeds that it holds data of; of a ZIP there may be several.",
        "status": "What became of it since.",
        "stroom_status": "What the sender was answered.",
        "received_at": "When it was accepted.",
        "compression": "How the stored bytes are compressed.",
        "notes": "What was remarkable about it.",
        "feed_version": "Version of the feed that let it in; null if unknown.",
        "guid": "GUID that the sender or a proxy gave it.",
        "truncated": "Whether its metadata had to be cut.",
        "recovered": "Whether its row was made from the file after a crash.",
        "request_id": "`X-Request-ID` that the sender gave or was given.",
    },
    "Proposal": {
        "state": "What became of it.",
        "proposed_at": "When it was proposed.",
        "proposed_by": "Who proposed it.",
        "decided_at": "When it was decided on; null while it is open.",
        "decision_comment": "Why it was decided so.",
    },
    "ProposedFeed": {
        "name": "Name of the feed.",
        "action": "What would be done to it.",
        "changes": "Every difference; a feed that is not there counts as one with nothing but defaults.",
    },
    "Reference": {"url": "Where it can be read."},
    "Spec": {"url": "Where it can be read.", "current": "Whether it is in force, and not replaced by another."},
    "Registry": {
        "found_in": "Where in an answer the number stands.",
        "min": "The smallest number there can be.",
        "max": "The largest number there can be.",
        "code_count": "How many codes the catalogue has of it.",
        "classes": "Its classes.",
    },
    "Rejection": {
        "feed": "The feed as the sender named it; of unknown names only some are told apart.",
        "known": "Whether a feed of this name existed.",
        "count": "How many deliveries.",
        "samples": "Up to three of them, for those who may see examples.",
    },
    "Related": {"kind": "How they are related, such as `confused_with`.", "when": "In which case."},
    "Release": {
        "digest": "Digest of what was loaded.",
        "loaded_at": "When.",
        "changes": "What is new or different since the load before.",
    },
    "ReleaseChanges": {"new_codes": "Codes that are new.", "new_sources": "Sources that are new."},
    "Retry": {
        "verdict": "Whether to send again.",
        "same_request": "Whether the same request can work later, unchanged.",
        "honours_retry_after": "Whether to wait for as long as Retry-After says.",
        "idempotent_only": "Whether only requests that may be repeated safely.",
        "needs_person": "Who has to do something first; empty for nobody.",
        "backoff": "How long to wait between attempts.",
    },
    "Sample": {"receipt_id": "The id that the refusal was given.", "headers": "Its metadata."},
    "Source": {
        "title": "Title of the document.",
        "kind": "What sort of document it is.",
        "date": "When it was written or read.",
        "licence": "Under which terms it is published.",
        "seed": "Number of the document among those that the catalogue was begun with; empty for others.",
        "checksum": "SHA-256 of the document that was read.",
        "rank": "Its place among the sources, the smaller the earlier.",
        "entry_count": "How many codes it speaks of.",
    },
    "SourceDetail": {"notes": "What it says of whole classes."},
    "Trace": {
        "step": "Its number in the order of the checks.",
        "outcome": "`pass`, or `stop` where it decided.",
        "explanation": "Why.",
    },
    "Use": {"name": "Name of the meaning."},
    "Vendor": {
        "products": "Products that answer so.",
        "website": "Address of the vendor.",
        "codes": "The meanings that it uses.",
    },
}


#: Parameters of queries and addresses; what differs stands by the beginning of its address.
PARAMETERS: Mapping[str, str] = {
    "format": "The form of the answer; it beats the Accept header.",
    "registry": "The number space.",
    "code": "The number.",
    "owner": "Slug of an owner, such as `nginx`.",
    "key": "Key of a class, such as `4xx`.",
    "slug": "Its name in addresses.",
    "source": "Slug of a source.",
    "vendor": "Slug of a vendor.",
    "cacheable": "Codes with a meaning that may be cached so.",
    "retry": "Codes with this verdict.",
    "standing": "Codes of this standing.",
    "http": "The HTTP status of the answer.",
    "stroom": "The Stroom-Status of the answer.",
    "aspect": "What the sources differ in.",
    "severity": "How much it matters.",
    "name": "Name of the feed.",
    "classification": "Feeds with exactly this classification.",
    "stream_type": "Feeds with exactly this type of stream.",
    "feed": "Refusals of this feed.",
    "http_status": "With this HTTP status.",
    "stroom_status": "With this Stroom-Status.",
    "compression": "Receipts whose stored bytes are compressed so.",
    "guid": "Receipts with this GUID.",
    "id": "The receipt with this id.",
    "recovered": "Whether the row was made from the file after a crash.",
    "remote_address": "Receipts from this peer.",
    "sender_dn": "Receipts from exactly this verified DN.",
    "sha256": "Receipts whose stored bytes have this digest.",
    "status": "With this status.",
    "truncated": "Whether the metadata had to be cut.",
    "receipt_id": "The id that the sender was given.",
    "token_id": "Number of the token.",
    "proposal_id": "Number of the proposal.",
    "state": "Proposals in this state.",
    "proposed_by": "Proposals of exactly this user.",
    "all": "Says that it is meant.",
}
PARAMETERS_OF: Mapping[str, Mapping[str, str]] = {
    "/api/v1/codes/": {"owner": "Codes to which this owner gives a meaning.", "code": "Codes with this number."},
    "/api/v1/feeds/": {"name": "The feed with exactly this name.", "owner": "Feeds with exactly this owner."},
}


def words_for(component: str, key: str) -> str:
    """What a key of a component means; empty where nobody said."""
    for name in _names(component):
        if key in OF.get(name, {}):
            return OF[name][key]
    return EVERYWHERE.get(key, "")


def _names(component: str) -> Iterator[str]:
    """A component, and the one whose words it shares: requests and details have those of what they are about."""
    yield component
    name = component.removesuffix("Request").removeprefix("Patched").removeprefix("New") or component
    yield name
    yield name.removesuffix("Detail")


def describe_fields(schemas: Mapping[str, dict[str, Any]]) -> None:
    """Give each key of each component its words, where its serializer said nothing."""
    for component, schema in schemas.items():
        for key, found in schema.get("properties", {}).items():
            if found.get("description") or not (words := words_for(component, key)):
                continue
            if "$ref" in found:  # beside which OpenAPI 3.0 reads nothing else
                found["allOf"] = [{"$ref": found.pop("$ref")}]
            found["description"] = words


def describe_operations(paths: Mapping[str, Mapping[str, Any]]) -> None:
    """Give parameters their words, where their filters have none."""
    for path, methods in paths.items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                own = PARAMETERS_OF.get(path, {}).get(parameter["name"]) if parameter["in"] == "query" else None
                words = own or PARAMETERS.get(parameter["name"])
                if words and not parameter.get("description"):
                    parameter["description"] = words
