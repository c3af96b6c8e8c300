"""What a script is told of the run that it repeats: the plan without seed, data and origin of its parts."""

from __future__ import annotations

from typing import Any

from golfreg.config.plan import Plan, plan_to_dict

_BY_NAME = ("mixers", "ops", "kernels", "train_kernels")
_ORIGIN = ("distribution", "version", "module", "reason", "argument")


def script_settings(plan: Plan, code_bytes: int | None) -> dict[str, Any]:
    """Settings for ``golfreg.runner.script``: the same for every seed of a configuration, wherever its data lies.

    ``code_bytes``: what the quantizer was told that the code takes; None if it did not ask.
    """
    table = plan_to_dict(plan)
    for key in ("dataset", "spec_digest", "corpus"):
        del table[key]
    spec = table["spec"]
    # The components stand beside it, resolved; seed and data are given to the script.
    table["spec"] = {key: spec[key] for key in ("ruleset", "train", "score")} | ({"fit": True} if spec["fit"] else {})
    if not spec["train"]["threads"]:
        table["threads"] = 0
    parts = [table[kind] for kind in ("architecture", "quantizer", "codec")]
    parts += [part for kind in _BY_NAME for part in table.get(kind, {}).values()]
    for part in parts:
        for key in _ORIGIN:
            part.pop(key, None)
    return {"plan": table, "code_bytes": code_bytes}
