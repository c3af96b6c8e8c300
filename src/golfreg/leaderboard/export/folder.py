"""``leaderboard export --format parameter-golf``: finished runs become a folder for a pull request to the challenge."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.api.errors import AnswerIsNo, ConfigError
from golfreg.leaderboard.export.logs import log_text
from golfreg.leaderboard.export.readme import readme, requirements
from golfreg.leaderboard.export.runs import read_runs
from golfreg.leaderboard.export.submission import submission, submission_text
from golfreg.leaderboard.writing import write_directory
from golfreg.pack.script import script_size, unpacked_script
from golfreg.rules.ruleset import load_ruleset

FORMATS = ("parameter-golf",)
MAX_TEXT = 200


@dataclass(frozen=True)
class Exported:
    """The new folder, and what its ``submission.json`` says."""

    directory: Path
    values: dict[str, Any]


def export(
    run_dirs: Sequence[Path],
    into: Path,
    *,
    author: str,
    github_id: str = "",
    name: str | None = None,
    plain: bool = False,
) -> Exported:
    """Write ``into/<date>_<name>``: README, submission.json, requirements, a log for each seed, ``train_gpt.py``.

    The script is the code section of the runs' artifacts, byte for byte; with ``plain`` its readable form.
    Raises InputError for runs that cannot be exported, AnswerIsNo where the readable form breaks the cap.
    """
    for what, text in (("--author", author), ("--github-id", github_id), ("--name", name or "")):
        if len(text) > MAX_TEXT or not text.isprintable():
            raise ConfigError(f"`{what}` is no name", f"printable text of at most {MAX_TEXT} characters")
    runs = read_runs(run_dirs)
    record = runs[0].record
    packed = runs[0].script
    script = unpacked_script(packed, script_size(packed)).encode() if plain else packed
    parts = (record.components.architecture.name, record.components.quantizer.name, record.components.codec.name)
    name = name or " ".join(parts)
    values = submission(runs, len(script), name=name, author=author, github_id=github_id)
    cap = load_ruleset(record.run.ruleset).limits.cap_bytes
    if values["bytes_total"] > cap:
        raise AnswerIsNo(
            f"with the readable script of {len(script):,} bytes the submission has {values['bytes_total']:,} bytes, "
            f"over the cap of {cap:,}",
            f"leave out `--plain`: the packed script has {len(packed):,} bytes",
        )
    files = {
        "README.md": readme(runs, values, plain),
        "submission.json": submission_text(values),
        "requirements.txt": requirements(record),
        "train_gpt.py": script.decode(),
        **{f"train_seed{run.record.run.seed}.log": log_text(run, len(script)) for run in runs},
    }
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:60] or "run"
    directory = into / f"{values['date']}_{slug}"
    write_directory(directory, files)
    return Exported(directory, values)
