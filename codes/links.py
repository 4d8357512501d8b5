"""Addresses of the catalogue's pages by name, each worked out once: a list of codes asks for hundreds of them."""

from functools import lru_cache

from django.urls import reverse


@lru_cache(maxsize=4096)
def page(name: str, *parts: str) -> str:
    """The address of a page; the catalogue has about a thousand of them, and an odd number asked for is dropped."""
    return reverse(f"codes:{name}", args=parts)
