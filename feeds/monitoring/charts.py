"""Stacked bars as SVG geometry: made on the server, drawn without script, readable in grey and aloud.

The template `admin/feeds/_chart.html` draws what is computed here; colours come from the style sheet.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from feeds.monitoring.figures import TimeSlot

WIDTH = 380
HEIGHT = 96
LABEL_ROOM = 18
AXIS_ROOM = 36
KINDS = ("accepted", "dropped", "refused")


@dataclass(frozen=True)
class Box:
    """One piece of a bar, from the bottom up."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Tick:
    """A text along an axis."""

    position: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A whole picture in its own units, with the numbers behind it."""

    title: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    times: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    slots: tuple[TimeSlot, ...]
    accepted: int
    refused: int
    dropped: int
    axis: float = AXIS_ROOM
    base: float = HEIGHT

    @property
    def empty(self) -> bool:
        return not (self.accepted or self.refused or self.dropped)

    @property
    def summary(self) -> str:
        return f"{self.title}: {self.accepted:,} accepted, {self.refused:,} refused, {self.dropped:,} dropped."


def stacked_bars(title: str, slots: Sequence[TimeSlot], *, span: timedelta, width: int = WIDTH) -> Chart:
    """Lay out one bar for each slot; `span` is how much time a slot holds."""
    top = nice_top(max((slot.total for slot in slots), default=0))
    pitch = (width - AXIS_ROOM) / max(1, len(slots))
    boxes = tuple(
        box for place, slot in enumerate(slots) for box in _bar(AXIS_ROOM + place * pitch, pitch, slot, top)
    )
    return Chart(
        title=title,
        width=width,
        height=HEIGHT + LABEL_ROOM,
        boxes=boxes,
        times=tuple(_times(slots, span, pitch)),
        levels=(Tick(HEIGHT - HEIGHT * 0.92, short(top)), Tick(HEIGHT - HEIGHT * 0.46, short(top / 2))),
        slots=tuple(slots),
        accepted=sum(slot.accepted for slot in slots),
        refused=sum(slot.refused for slot in slots),
        dropped=sum(slot.dropped for slot in slots),
    )


def _bar(x: float, pitch: float, slot: TimeSlot, top: int) -> list[Box]:
    y = float(HEIGHT)
    boxes = []
    for kind in KINDS:
        count = getattr(slot, kind)
        if count:
            # Whatever happened at all stays visible.
            height = max(1.5, HEIGHT * 0.92 * count / top)
            y -= height
            boxes.append(Box(kind, round(x, 1), round(y, 1), round(pitch * 0.75, 1), round(height, 1)))
    return boxes


def _times(slots: Sequence[TimeSlot], span: timedelta, pitch: float) -> list[Tick]:
    """Texts below the bars, none closer than about 50 units; days where slots are long."""
    form = "%m-%d" if span >= timedelta(hours=6) else "%H:%M"
    texts = [f"{slot.start:{form}}" for slot in slots]
    step = max(1, math.ceil(52 / pitch))
    ticks: list[Tick] = []
    for place in range(0, len(slots), step):
        centre = AXIS_ROOM + place * pitch + pitch * 0.375
        if not ticks or ticks[-1].text != texts[place]:
            ticks.append(Tick(round(max(centre, 18), 1), texts[place]))
    return ticks


def nice_top(most: int) -> int:
    """Round up to 2, 4, 6 or 10 times a power of ten: half of it is a whole number too."""
    power = 1
    while True:
        for step in (2, 4, 6, 10):
            if step * power >= most:
                return step * power
        power *= 10


def short(number: float) -> str:
    """Format a number in about four characters: 950, 1.2k, 3M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}".removesuffix(".0") + unit
    return f"{number:.0f}"
