"""The studies there are: light descriptions, whose modules are imported on first use."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from golfreg.api.errors import ConfigError, nearest


@dataclass(frozen=True)
class Study:
    """``claim``: what was published, in one sentence. ``needs``: which checkpoints it takes."""

    name: str
    summary: str
    claim: str
    source: str
    needs: str
    module: str

    def load(self) -> Any:
        """The module with ``Config`` and ``run``."""
        return importlib.import_module(self.module)


_WRITE_UP = '"Why SSMs Struggle in Parameter Golf" (2026-05-03)'

STUDIES = (
    Study(
        name="calibration",
        summary="where GPTQ's statistics come from, and whether a compiled model can give them",
        claim="After torch.compile, GPTQ could not be calibrated on training data; text that the model wrote itself "
        "had to do, at 5.5 mBPB.",
        source=f"{_WRITE_UP}; openai/parameter-golf #1355",
        needs="one run directory or more, best several seeds of one model",
        module="golfreg.studies.calibration",
    ),
    Study(
        name="compressibility",
        summary="bits a parameter of in_proj against QKV and O, and what a block costs in bytes",
        claim="A state-space layer's in_proj compresses 3.26 times worse than attention's matrices under LZMA.",
        source=f"{_WRITE_UP}; openai/parameter-golf #1644, #1890",
        needs="run directories of a hybrid with mamba3 and attention layers, best three seeds; a transformer's too",
        module="golfreg.studies.compressibility",
    ),
    Study(
        name="dynamics-precision",
        summary="bits of the rows that feed the state transition (dt, A) against the window's length",
        claim="Keeping the dt and A rows of in_proj in int8 where the rest is int6 recovers 0.8 mBPB.",
        source=f"{_WRITE_UP}; openai/parameter-golf #1890",
        needs="run directories of a model with mamba3 layers, best three seeds",
        module="golfreg.studies.dynamics_precision",
    ),
)


def find_study(name: str) -> Study:
    """ConfigError with the nearest name if there is none of this one."""
    found = next((study for study in STUDIES if study.name == name), None)
    if found is None:
        raise ConfigError(f"there is no study `{name}`", nearest(name, [s.name for s in STUDIES], "there are"))
    return found
