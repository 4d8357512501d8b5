"""Addresses of the catalogue's pages by name, each worked out once: a list of codes asks for hundreds of them."""

from functools import lru_cache

from django.urls import reverse


@lru_cache(maxsize=4096)
def page(name: str, *parts: str) -> str:
    """Return the address of a page; the cache has room for all pages and drops addresses of unknown numbers."""
    return reverse(f"codes:{name}", args=parts)
