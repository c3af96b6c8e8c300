"""Settles a codec that chooses among others, in a process of its own: those that are not used never count as code.

``python -m golfreg.pack.narrow SECTIONS CODEC ANSWER``, the last two JSON.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from golfreg.api.errors import EnvironmentFault, GolfregError, PluginError
from golfreg.config.plan import Chosen
from golfreg.pack.sections import load_sections

_ANSWER_FILE = ".codec.json"


def settled(codec: Chosen, sections: Path) -> Chosen:
    """The codec with the configuration that its ``narrowed(sections, config)`` gives; as it is if it has none."""
    if not hasattr(codec.load(), "narrowed"):
        return codec
    answer_file = sections.with_name(_ANSWER_FILE)
    answer_file.unlink(missing_ok=True)
    given = json.dumps({"name": codec.name, "target": codec.target, "config": codec.config})
    command = [sys.executable, "-m", "golfreg.pack.narrow", str(sections), given, str(answer_file)]
    code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
    try:
        answer = json.loads(answer_file.read_text("utf-8"))
    except (OSError, ValueError):
        raise EnvironmentFault(
            f"the process that tries the codecs ended with {code} and no answer", "was it out of memory?"
        ) from None
    finally:
        answer_file.unlink(missing_ok=True)
    if "message" in answer:
        raise PluginError(answer["message"], answer["hint"])
    return dataclasses.replace(codec, config={**codec.config, **answer["config"]})


def main() -> None:
    """Write the answer, or an error's message and hint."""
    sections, given, answer_file = sys.argv[1:]
    try:
        told = json.loads(given)
        codec = Chosen("codec", told["name"], told["target"], "", "", "", told["config"])
        _, members = load_sections(Path(sections))
        answer = {"config": codec.load().narrowed(members, codec.make_config())}
    except GolfregError as error:
        answer = {"message": error.message, "hint": error.hint}
    Path(answer_file).write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main()
