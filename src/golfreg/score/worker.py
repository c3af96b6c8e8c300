"""The scoring process: ``python -P -m golfreg.score.worker TASK_FILE``. Cuts the network, then scores."""

from __future__ import annotations

import sys
from pathlib import Path

from golfreg.score import isolate
from golfreg.score.task import Task


def main() -> None:
    """Importing the scorer imports torch, whose threads would keep the process in its network namespace."""
    task = Task.read(Path(sys.argv[1]))
    isolate.die_with_parent(task.parent)
    network = isolate.cut_network()
    from golfreg.score import scorer

    scorer.main(task, network)


if __name__ == "__main__":
    main()
