"""All shapes in which programs write status codes, in order of trust. Pure."""

from codes.explain.dialects import DIALECTS, OF_STROOM
from codes.explain.fields import FIELDS
from codes.explain.lines import LINES
from codes.explain.messages import MESSAGES
from codes.explain.patterns import Shape

#: Where two overlap, the earlier one counts.
SHAPES: tuple[Shape, ...] = (*OF_STROOM, *LINES, *FIELDS, *MESSAGES, *DIALECTS)
