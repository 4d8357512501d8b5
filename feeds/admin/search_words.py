"""Words of the search of feeds: a word alone is looked for in many fields, `field:value` in one."""

import json
from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_

from django.db.models import Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast
from django.utils.text import smart_split, unescape_string_literal

from feeds.models import CertificateRule, has_label
from portal.database.caseless import Caseless

#: What a search says of its prefixes.
HELP = "Name, owner, description, labels, DNs of rules; or status: label: owner: class: policy: dn: quiet:24h"


def words_of(text: str) -> list[str]:
    """Split a search into words; text in quotation marks is one word."""
    return [_unquoted(word) for word in smart_split(text)]


def _unquoted(word: str) -> str:
    is_quoted = len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]
    return unescape_string_literal(word) if is_quoted else word


def condition_of(word: str, filters: Mapping[str, Callable[[str], Q | None]]) -> Q:
    """Return the condition on a feed that a word of a search stands for.

    Args:
        word: as `words_of` gives it.
        filters: conditions of the filters of the list, by prefix; None for a value that one does not know.
    """
    prefix, colon, value = word.partition(":")
    if not colon or not value or prefix.lower() not in {*_FIELDS, *filters}:
        return mentions(word)
    value = _unquoted(value)
    if prefix.lower() in _FIELDS:
        return _FIELDS[prefix.lower()](value)
    condition = filters[prefix.lower()](value.lower())
    return Q(pk__in=[]) if condition is None else condition


def mentions(word: str) -> Q:
    """Feeds that have this in their name, owner, description, labels or the DN of a rule."""
    own = Q(name__caseless=word) | Q(owner__caseless=word) | Q(description__caseless=word)
    return own | _label_part(word) | _names_dn(word)


def _names_dn(text: str) -> Q:
    return Q(Exists(CertificateRule.objects.filter(feed=OuterRef("pk"), subject_dn__caseless=text)))


def _label_part(text: str) -> Q:
    """Look in the JSON text of the labels, in which SQLite escapes what is not ASCII."""
    labels = Cast("labels", TextField())
    spelt = (text, text.lower(), text.upper(), text.capitalize())
    forms = {json.dumps(word, ensure_ascii=is_ascii)[1:-1] for word in spelt for is_ascii in (False, True)}
    return reduce(or_, (Q(Caseless(labels, form)) for form in sorted(forms)))


_FIELDS: Mapping[str, Callable[[str], Q]] = {
    "name": lambda value: Q(name__caseless=value),
    "status": lambda value: Q(status__istartswith=value),
    "policy": lambda value: Q(certificate_policy__istartswith=value),
    "owner": lambda value: Q(owner__caseless=value),
    "class": lambda value: Q(classification__caseless=value),
    "classification": lambda value: Q(classification__caseless=value),
    "label": has_label,
    "dn": _names_dn,
}
