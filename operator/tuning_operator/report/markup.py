"""HTML that cannot be forgotten to be escaped: a str is text, only `Html` is markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Html:
    """Markup, safe to stand in a page as it is."""

    text: str


Child = Html | str


def join(children: Iterable[Child], separator: str = "") -> Html:
    """The children one after the other; strings are escaped."""
    return Html(escape(separator).join(_markup(child) for child in children))


def element(tag: str, *children: Child, **attributes: str | None) -> Html:
    """An element with its children; strings are escaped.

    Attribute names are written as Python can: ``class_`` for class, ``aria_label`` for aria-label. An attribute
    that is None is left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items() if value is not None
    )
    return Html(f"<{tag}{written}>{join(children).text}</{tag}>")


def _markup(child: Child) -> str:
    return child.text if isinstance(child, Html) else escape(child)
