"""Values of recognition: what was found in a text, and the words by which codes are known. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

HTTP, STROOM = "http", "stroom"
ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True)
class Found:
    """One code found in the text; `NO_STATUS` where the passage says that no server answered.

    `start` and `end` are character offsets of the passage that was recognised, `kind` what sort of passage it is,
    `passage` the passage itself, `line` the line it begins on, counted from 1.
    """

    registry: str
    code: int
    kind: str
    start: int
    end: int
    passage: str
    line: int = 1


@dataclass(frozen=True)
class Vocabulary:
    """Names of the codes in the catalogue, for passages that give one next to its number or instead of it.

    `names` has for each HTTP code every name it has or had; `messages` leads from Stroom's message texts and
    constants to their Stroom-Status. Messages that are common words ("OK", "Unknown error") do not belong there.
    `stroom_codes` are all numbers that Stroom uses; empty means that none is known to be wrong. `pairs` has for
    each of them the HTTP statuses that it comes with. `constants` are Stroom's constants where a field's name says
    that one follows, common words included; so are `all_messages` where a log is known to hold one.
    """

    names: Mapping[int, Sequence[str]] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    stroom_codes: Collection[int] = ()
    pairs: Mapping[int, Collection[int]] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)
    all_messages: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def ordered_messages(self) -> tuple[tuple[str, str, int], ...]:
        """Each message, the same in lower case, and its code; the longest first, since it says more."""
        ordered = sorted(self.messages.items(), key=lambda item: -len(item[0]))
        return tuple((message, message.translate(ASCII_LOWER), code) for message, code in ordered)

    def may_be_stroom(self, code: int) -> bool:
        return not self.stroom_codes or code in self.stroom_codes


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Take the blanks at both ends off a passage."""
    passage = text[start:end]
    start += len(passage) - len(passage.lstrip())
    return start, start + len(passage.strip())
