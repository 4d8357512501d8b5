"""Header fields, each with the codes that it belongs to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codes.models import HeaderUse


@dataclass(frozen=True)
class Use:
    """One code that asks for a header, or is changed by it."""

    registry: str
    code: int
    owner: str
    name: str
    direction: str
    level: str
    note: str
    url: str


@dataclass(frozen=True)
class Header:
    slug: str
    name: str
    codes: Sequence[Use]

    @property
    def url(self) -> str:
        return f"/codes/headers/{self.slug}/"


def headers(slug: str | None = None) -> list[Header]:
    """Return all header fields by name, or the one with the slug."""
    uses = HeaderUse.objects.select_related("meaning__status_code").order_by(
        "slug", "meaning__status_code__registry__position", "meaning__status_code__code", "meaning__position"
    )
    return _grouped(uses.filter(slug=slug) if slug else uses)


def _grouped(uses: Iterable[HeaderUse]) -> list[Header]:
    found: dict[str, list[Use]] = {}
    names: dict[str, str] = {}
    for use in uses:
        names.setdefault(use.slug, use.name)
        found.setdefault(use.slug, []).append(_use(use))
    return [Header(slug, names[slug], tuple(codes)) for slug, codes in found.items()]


def _use(use: HeaderUse) -> Use:
    meaning, row = use.meaning, use.meaning.status_code
    return Use(
        registry=row.registry_id,
        code=row.code,
        owner=meaning.owner_id,
        name=meaning.name,
        direction=use.direction,
        level=use.level,
        note=use.note,
        url=meaning.get_absolute_url(),
    )
