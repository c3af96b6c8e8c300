"""Values from files that keep no schema: whatever stands there, a value or nothing, and what was odd about it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from golfreg.api.errors import InputError
from golfreg.config.strict import LARGEST, shown

MAX_TEXT = 200
MAX_DIGITS = 30
_NUMBER = re.compile(r"[<~≈]?\s*(\d[\d,_ ]{0,30}(?:\.\d{1,30})?(?:[eE][-+]?\d{1,3})?)\s*(?:bytes|B|s|bpb|nats)?")


def parse_json(data: bytes) -> tuple[Any, list[str]]:
    """The first JSON value of a file, and what was odd: a mark, text after it, a key twice, NaN.

    Raises InputError where there is no value: empty, not UTF-8, malformed, nested too deeply.
    """
    odd: list[str] = []
    if data.startswith(b"\xef\xbb\xbf"):
        odd.append("begins with a byte order mark")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 at byte {error.start:,}", "save it as UTF-8") from error
    text = text.lstrip()
    if not text:
        raise InputError("is empty", "write a JSON object")
    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: _object(pairs, odd),
        parse_int=lambda digits: _integer(digits, odd),
        parse_constant=lambda word: _constant(word, odd),
    )
    try:
        value, end = decoder.raw_decode(text)
    except RecursionError as error:
        raise InputError("is nested too deeply", "is it the right file?") from error
    except ValueError as error:
        raise InputError(f"is not JSON: {shown(str(error), 120)}", "a JSON checker shows the place") from error
    if rest := text[end:].strip():
        odd.append(f"has {len(rest):,} characters after its end")
    return value, odd


def number(value: Any) -> tuple[float | None, str]:
    """A number of at least 0, and what was odd: `1,234` as text, null, a list. None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, f"is {_kind(value)}, not a number"
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip()) if len(value) <= 80 else None
        if match is None:
            return None, f"is the text {shown(ascii(value), 40)}, not a number"
        found, odd = float(re.sub(r"[,_ ]", "", match[1])), "is a number written as text"
    else:
        found, odd = float(value), ""
    if not math.isfinite(found) or not 0 <= found <= LARGEST:
        return None, f"is {shown(value, 40)}: out of range"
    return found, odd


def text(value: Any) -> tuple[str, str]:
    """Printable text of at most 200 characters on one line, and what was odd."""
    if not isinstance(value, str):
        return "", f"is {_kind(value)}, not text"
    odd = "" if len(value) <= MAX_TEXT else f"has {len(value):,} characters; cut at {MAX_TEXT}"
    kept = value[: MAX_TEXT * 2].strip()
    if not kept.isprintable():
        odd, kept = odd or "holds control characters: escaped", printable(kept)
    return kept[:MAX_TEXT].strip(), odd


def printable(value: str) -> str:
    """With every character that is not printable written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)


def decimals(value: float) -> int:
    """Digits after the point, as the number would be written."""
    written = repr(value)
    if "e" in written:
        return 12
    return len(written.partition(".")[2])


def agrees(declared: float, measured: float) -> bool:
    """Equal but for rounding or cutting at the declared number's last place (at least four places)."""
    return abs(declared - measured) <= 1.001 * 10.0 ** -max(4, min(8, decimals(declared)))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "true or false", dict: "an object", list: "a list", str: "text"}.get(type(value), "a number")


def _object(pairs: list[tuple[str, Any]], odd: list[str]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs) and len(odd) < 20:
        odd.append("has a key twice: the last one counts")
    return table


def _integer(digits: str, odd: list[str]) -> int | None:
    if len(digits) > MAX_DIGITS:
        odd.append(f"has a number of {len(digits):,} digits: left out")
        return None
    return int(digits)


def _constant(word: str, odd: list[str]) -> None:
    odd.append(f"holds {word}, which is not JSON: left out")
