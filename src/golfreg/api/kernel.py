"""``ReferenceKernel``: an op's plain reference as a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class ReferenceKernel:
    """``call`` is the op's reference; it runs anywhere. Subclass it where ``supports`` has a reason to refuse."""

    def __init__(self, reference: Callable[..., Any]) -> None:
        self.call = reference

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None: it can run."""
        return None
