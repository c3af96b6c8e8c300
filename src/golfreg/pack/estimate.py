"""What the code of an artifact will take, estimated before the artifact is made: for a quantizer's budget."""

from __future__ import annotations

import json
from pathlib import Path

from golfreg.api.errors import InputError
from golfreg.config.job import Job, write_whole
from golfreg.pack import archive
from golfreg.pack.closure import collect, counted_by_stages
from golfreg.pack.modules import counted_modules

ESTIMATE_FILE = "code_estimate.json"


def estimated_code_bytes(job: Job) -> int:
    """The code known so far and all modules that packing and scoring may add. Noted in the run directory."""
    package = Path(__file__).parent.parent
    later = {f"golfreg.{part}.{file.stem}" for part in ("pack", "score") for file in (package / part).glob("[!_]*.py")}
    code = collect({*counted_by_stages(job.run_dir), *counted_modules(), *later})
    if job.plan.limits.code == "packed":
        from golfreg.pack.script import MAIN, packed_script, plain_script
        from golfreg.pack.script_settings import script_settings

        code |= collect([MAIN])
        found = len(packed_script(plain_script(code, script_settings(job.plan, None))))
    else:
        found = len(archive.compress_text(archive.encode_archive(code)))
    write_whole(job.run_dir / ESTIMATE_FILE, json.dumps({"code_bytes": found}).encode())
    return found


def noted_estimate(run_dir: Path) -> int | None:
    """What the run's quantizer was told, or None if it did not ask."""
    try:
        return int(json.loads((run_dir / ESTIMATE_FILE).read_text("utf-8"))["code_bytes"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"`{run_dir / ESTIMATE_FILE}` is damaged: {error}", "delete it and quantize again") from error
