"""How a run is shown while it goes: one line a finished stage, a bar for the one that runs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from golfreg.cli.out import plain

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_SECONDS = 10.0


class StageProgress:
    """A bar on a terminal; where standard error is a file or pipe, a line every ten seconds."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: Any = None
        self.said = time.monotonic()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def listen(self, stage: str, event: dict[str, Any]) -> None:
        """Show one event of ``golfreg.runner.launch.Listener``."""
        name = event["event"]
        if name == "start":
            self.task = self.bar.add_task(stage, total=None, text="")
        elif name == "progress":
            text = plain(event.get("text", ""))
            if self.task is not None:
                self.bar.update(self.task, completed=event.get("done"), total=event.get("total"), text=text)
            if not self.console.is_terminal and time.monotonic() - self.said > _PIPED_SECONDS:
                self.said = time.monotonic()
                self.console.print(f"{stage}: {_share(event)} {text}{_left(event)}")
        elif name == "note":
            self.console.print(f"{stage}: {plain(event.get('text', ''))}")
        elif name in ("done", "skipped"):
            if self.task is not None:
                self.bar.remove_task(self.task)
                self.task = None
            how = f"{event['seconds']:.1f} s" if name == "done" else "done before"
            self.console.print(f"{stage}: {how}", style="green")


def _share(event: dict[str, Any]) -> str:
    total = event.get("total")
    return f"{100 * event.get('done', 0) / total:.0f} %" if total else ""


def _left(event: dict[str, Any]) -> str:
    """A bar estimates the time left by itself; a line has it from who knows it."""
    left = event.get("left_seconds")
    return f"  {left:.0f} s left" if isinstance(left, int | float) else ""
