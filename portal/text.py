"""Numbers in sentences."""


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 feed", "2 feeds", "0 feeds"; `many` where the plural is not made with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
