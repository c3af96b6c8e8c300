"""``golfreg doctor``: what works on this machine, and what mends the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from golfreg.api.errors import AnswerIsNo
from golfreg.cli.out import Out


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Look at Python, torch, the GPU, disk, isolation and plugins: what works, what does not, what mends it.

    Exit code 1 if `golfreg run` cannot work here.

    Example: golfreg doctor --json
    """
    from golfreg.runner.doctor import Health, examine

    out = Out(as_json)
    with out.console(stderr=True).status("looking"):
        found = examine()
    if as_json:
        out.json({"symptoms": [asdict(symptom) for symptom in found]})
    else:
        out.table(("", "part", "found", "means"), [(s.health, s.part, s.found, s.means) for s in found])
        for symptom in found:
            if symptom.mend:
                out.talk(f"{symptom.part}: {symptom.mend}", "cyan")
    failed = [symptom.part for symptom in found if symptom.health is Health.FAIL]
    if failed:
        raise AnswerIsNo(
            f"`golfreg run` cannot work here: {', '.join(failed)}", "mend what is listed above, then look again"
        )
