"""Drawings of matplotlib as inline SVG: colours become CSS classes, so that a theme decides what they look like.

A drawing uses the placeholder colours ``INK`` and so on. No ``style`` attribute is left, so that
pages can forbid inline styles; identifiers are numbered under the drawing's own name, so that
several drawings live in one page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

INK, MUTED, GRID, ACCENT, FAINT, SURFACE = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
SERIES = tuple(f"#0102{i:02x}" for i in range(8))
"""For parts that are told apart by colour, the last for what is left over."""
_CLASSES = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent", FAINT: "faint", SURFACE: "surface"} | {
    colour: f"series{i}" for i, colour in enumerate(SERIES)
}
_LONG = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_DROPPED = ("metadata", "style", "title")


@dataclass(frozen=True)
class Mark:
    """A part of a drawing with a tooltip. ``href``: the page that it leads to; empty for none."""

    text: str
    href: str = ""


def tidy(svg: str, name: str, label: str, marks: Mapping[str, Mark]) -> str:
    """SVG for an HTML page. ``name``: prefix of its identifiers. ``marks``: by the artists' gid."""
    root = ElementTree.fromstring(svg)
    _drop(root)
    referenced = _references(root)
    numbers = {old: f"{name}-{i}" for i, old in enumerate(referenced)}
    for parent in list(root.iter()):
        parent.tag = _local(parent.tag)
        _attributes(parent, numbers)
        for place, child in enumerate(list(parent)):
            mark = marks.get(child.get("id", ""))
            if mark is not None:
                parent[place] = _marked(child, mark)
    for element in root.iter():
        if element.get("id", "") not in numbers.values():
            element.attrib.pop("id", None)
    _, _, width, height = root.get("viewBox", "0 0 1 1").split()
    root.attrib.clear()
    root.attrib.update({"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": label, "class": "drawing"})
    return ElementTree.tostring(root, encoding="unicode").replace("\n", " ")


def _marked(element: ElementTree.Element, mark: Mark) -> ElementTree.Element:
    """Inside a group, or a link, with a tooltip. The link is for pointers: a table beside it has the same links."""
    around = ElementTree.Element("a", {"href": mark.href, "tabindex": "-1"} if mark.href else {})
    around.tag = "a" if mark.href else "g"
    around.set("class", "mark")
    ElementTree.SubElement(around, "title").text = mark.text
    around.append(element)
    return around


def _drop(root: ElementTree.Element) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _DROPPED:
                parent.remove(child)


def _references(root: ElementTree.Element) -> list[str]:
    """Identifiers that something refers to, in the order of the document."""
    found: dict[str, None] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            if _local(key) == "href":
                found[value.removeprefix("#")] = None
            found.update(dict.fromkeys(_REFERENCE.findall(value)))
    return list(found)


def _attributes(element: ElementTree.Element, numbers: Mapping[str, str]) -> None:
    attributes, classes = dict(element.attrib), []
    element.attrib.clear()
    for part in attributes.pop("style", "").split(";"):
        key, _, value = part.partition(":")
        if value and key.strip() not in ("font-family", "font"):
            attributes[key.strip()] = value.strip()
    for key, value in attributes.items():
        key, value = _local(key), value.replace("\n", " ").strip()
        if key in ("fill", "stroke") and value in _CLASSES:
            classes.append(f"{key[0]}-{_CLASSES[value]}")
            continue
        if key == "href":
            value = f"#{numbers[value.removeprefix('#')]}"
        elif key == "id":
            value = numbers.get(value, value)
        elif key != "class":
            value = _REFERENCE.sub(lambda match: f"url(#{numbers[match[1]]})", value)
            value = _LONG.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
        if key != "transform" or not value.startswith("rotate(-0 "):
            element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))


def _local(name: str) -> str:
    return name.rpartition("}")[2]
