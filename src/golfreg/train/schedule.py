"""Learning rate and momentum, as pure functions of the step and the clock."""

from __future__ import annotations

from dataclasses import dataclass

from golfreg.config.spec import TrainSettings


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up by steps, then flat, then a linear fall to zero that ends with the run.

    ``steps``: length of the run in steps, or 0 for a run that ends when the clock shows ``seconds``.
    """

    settings: TrainSettings
    steps: int
    seconds: float

    def progress(self, step: int, elapsed_seconds: float) -> float:
        """Part of the run that lies behind at the beginning of a step, in [0, 1]."""
        done = step / self.steps if self.steps else elapsed_seconds / self.seconds
        return min(max(done, 0.0), 1.0)

    def rate(self, step: int, elapsed_seconds: float) -> float:
        """Factor of every learning rate at this step (the first is 0), in [0, 1]."""
        warmup = min(1.0, (step + 1) / max(self.settings.warmup_steps, 1))
        left = 1.0 - self.progress(step, elapsed_seconds)
        fraction = self.settings.warmdown_fraction
        return min(warmup, left / fraction if left < fraction else 1.0)

    def momentum(self, step: int) -> float:
        """Muon's momentum: rises linearly over its first ``muon_momentum_steps``."""
        s = self.settings
        part = min(1.0, step / s.muon_momentum_steps) if s.muon_momentum_steps else 1.0
        return s.muon_momentum_start + part * (s.muon_momentum - s.muon_momentum_start)
