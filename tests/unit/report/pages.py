"""A report read as a browser reads it: elements and their texts, not substrings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Page:
    """Every element of a page in order, each with all the text inside it."""

    elements: list[Element] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        wanted = attributes.items()
        return [e for e in self.elements if e.tag == tag and wanted <= {k: v or "" for k, v in e.attributes.items()}.items()]

    def one(self, tag: str, **attributes: str) -> Element:
        [found] = self.all(tag, **attributes)
        return found

    def texts(self, tag: str) -> list[str]:
        return [" ".join(e.text.split()) for e in self.all(tag)]

    def figures(self) -> dict[str, dict[str, Any]]:
        """The plots' data by the id of the element they are drawn into."""
        figures: list[dict[str, Any]] = json.loads(self.one("script", id="figures").text)
        return {figure["id"]: figure for figure in figures}

    def lead(self, section: str) -> str:
        """The sentence that opens a section."""
        start = self.elements.index(self.one("section", id=section))
        return next(" ".join(e.text.split()) for e in self.elements[start:] if e.tag == "p")

    def scripts(self) -> list[str]:
        """Scripts that a browser would run."""
        return [e.text for e in self.all("script") if "type" not in e.attributes]


def read(html: str) -> Page:
    """Parse a page."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.page


class _Parser(HTMLParser):
    _VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.page.elements.append(element)
        if tag not in self._VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data
