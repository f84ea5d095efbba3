"""Elements of a picture as text, everything escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_of(value: object) -> str:
    """A value as XML text; what XML forbids is left out."""
    return escape(_NOT_IN_XML.sub("", str(value)), quote=True)


def element(name: str, *children: str, **attributes: object) -> str:
    """An element. ``children`` are elements or escaped text; ``_`` stands for ``-``, ``class_`` for class."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def picture(
    identity: str, title: str, description: str, width: float, height: float, children: Iterable[str]
) -> str:
    """A whole picture with its title and description; ``identity`` is unique on the page."""
    return element(
        "svg",
        element("title", text_of(title), id=f"{identity}-picture-title"),
        element("desc", text_of(description), id=f"{identity}-picture-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"picture {identity}",
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
        aria_labelledby=f"{identity}-picture-title",
        aria_describedby=f"{identity}-picture-desc",
        font_family="system-ui, sans-serif",
        font_size=12,
        fill="currentColor",
    )


def label(x: float, y: float, words: object, class_: str = "label", anchor: str = "start") -> str:
    """A word or two at a place."""
    return element("text", text_of(words), x=x, y=y, class_=class_, text_anchor=anchor)


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else text_of(value)
