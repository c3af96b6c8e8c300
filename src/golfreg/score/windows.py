"""Which tokens a model sees while each target is scored.

Target ``i + 1`` is predicted at position ``i`` of the stream. Every target is scored once, in
order, whatever the windows: a remainder gets a window of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from golfreg.api.errors import ConfigError

_HINT = "write `fixed`, `sliding:STRIDE` with a STRIDE from 1 to the window's length, `stateful` or `stateful:CONTEXT`"

LARGEST_CONTEXT = 1 << 20
"""Positions that attention keeps, in tokens; each costs memory in every layer of attention."""


@dataclass(frozen=True)
class Window:
    """Inputs ``start:end`` of the stream; the targets of inputs ``scored:end`` are counted."""

    start: int
    scored: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Windows:
    """``fixed``: windows side by side. ``sliding``: each advances by ``stride`` and scores its last ``stride``.

    The first sliding window scores all of its tokens; the last one ends with the stream.
    ``stateful``: side by side, and the model's state is carried from each to the next; attention
    sees the ``context`` positions before the window.
    """

    length: int
    stride: int
    """Equal to ``length`` for fixed windows."""
    sliding: bool = False
    stateful: bool = False
    context: int = 0

    def __str__(self) -> str:
        if self.stateful:
            return f"stateful:{self.context}" if self.context else "stateful"
        return f"sliding:{self.stride}" if self.sliding else "fixed"

    def over(self, tokens: int) -> Iterator[Window]:
        """Windows over a stream of so many tokens, whose last is only a target."""
        inputs = tokens - 1
        end = scored = 0
        while scored < inputs:
            end = min(inputs, end + (self.stride if scored else self.length))
            start = max(0, end - self.length) if self.sliding else scored
            yield Window(start, scored, end)
            scored = end

    def batches(self, tokens: int, batch_tokens: int) -> Iterator[list[Window]]:
        """Consecutive windows of one length, at most ``batch_tokens`` together (one window at least)."""
        batch: list[Window] = []
        for window in self.over(tokens):
            fits = batch and window.length == batch[0].length and (len(batch) + 1) * window.length <= batch_tokens
            if batch and not fits:
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch

    def count(self, tokens: int) -> int:
        """How many windows a stream of so many tokens has."""
        beyond = tokens - 1 - self.length
        return 1 + max(0, -(-beyond // self.stride)) if tokens > 1 else 0


def parse_windows(text: str, length: int) -> Windows:
    """``fixed``, ``sliding:STRIDE``, ``stateful`` or ``stateful:CONTEXT`` with windows of ``length`` tokens."""
    if length < 1:
        raise ConfigError(f"score.sequence_length is {length}", "a window has at least one token")
    kind, colon, stride = text.partition(":")
    if kind in ("fixed", "stateful") and not colon:
        return Windows(length, length, stateful=kind == "stateful")
    if kind not in ("sliding", "stateful") or not (stride.isascii() and stride.isdigit() and len(stride) <= 9):
        raise ConfigError(f"score.windows is {text!r}", _HINT)
    if kind == "stateful":
        if int(stride) > LARGEST_CONTEXT:
            raise ConfigError(f"score.windows is {text!r}", f"the context has at most {LARGEST_CONTEXT:,} tokens")
        return Windows(length, length, stateful=True, context=int(stride))
    if not 1 <= int(stride) <= length:
        raise ConfigError(f"score.windows is {text!r} and a window has {length} tokens", _HINT)
    return Windows(length, int(stride), sliding=True)
