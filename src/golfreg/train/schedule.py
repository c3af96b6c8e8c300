"""Learning rate, momentum and the shape of steps, as pure functions of the step and the clock."""

from __future__ import annotations

from dataclasses import dataclass

from golfreg.api.errors import ConfigError
from golfreg.config.spec import TrainSettings

Stages = tuple[tuple[float, int], ...]
"""(end as a part of the run, value), in order; the last end is 1."""


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

    def rounded(self, step: int, elapsed_seconds: float) -> bool:
        """Whether this step is made at rounded weights (``golfreg.train.rounding``)."""
        fraction = self.settings.fake_quant_fraction
        return fraction > 0 and self.progress(step, elapsed_seconds) >= 1.0 - fraction

    def shape(self, step: int, elapsed_seconds: float) -> tuple[int, int]:
        """(tokens of this step, length of its windows)."""
        progress = self.progress(step, elapsed_seconds)
        return _at(batch_stages(self.settings), progress), _at(length_stages(self.settings), progress)


def step_shapes(settings: TrainSettings) -> list[tuple[int, int]]:
    """(tokens, length of the windows) of all steps that a run makes, in their order."""
    batches, lengths = batch_stages(settings), length_stages(settings)
    ends = sorted({end for end, _ in (*batches, *lengths)})
    begins = [0.0, *ends[:-1]]
    return list(dict.fromkeys((_at(batches, begin), _at(lengths, begin)) for begin in begins))


def batch_stages(settings: TrainSettings) -> Stages:
    """Tokens of a step over the run. ConfigError for a schedule that cannot be read."""
    return _stages("train.batch_tokens_schedule", settings.batch_tokens_schedule, settings.batch_tokens)


def length_stages(settings: TrainSettings) -> Stages:
    """Length of the windows over the run. ConfigError for a schedule that cannot be read."""
    return _stages("train.sequence_length_schedule", settings.sequence_length_schedule, settings.sequence_length)


def micro_batch(settings: TrainSettings, batch_tokens: int) -> tuple[int, int]:
    """(tokens of one process in a step of so many, tokens of each of its micro-batches)."""
    share = batch_tokens // settings.nproc
    return share, min(settings.micro_batch_tokens or share, share)


def check_shapes(settings: TrainSettings) -> None:
    """ConfigError for steps that cannot be cut into whole windows, micro-batches and shares."""
    window, nproc = settings.sequence_length, settings.nproc
    for batch_tokens, length in step_shapes(settings):
        share, micro = micro_batch(settings, batch_tokens)
        if length < 1 or window % length:
            raise ConfigError(
                f"windows of {length} tokens do not divide `train.sequence_length = {window}`",
                "a schedule's windows are the longest one cut in equal parts: 1/2, 1/4 and so on",
            )
        if batch_tokens < 1 or batch_tokens % (nproc * window) or share % micro or micro % window:
            among = f" among {nproc} processes" if nproc > 1 else ""
            raise ConfigError(
                f"a step of {batch_tokens} tokens{among} in micro-batches of {micro} has no whole windows of {window}",
                "`batch_tokens` is a multiple of `nproc` * `sequence_length`, a process's share of it is one of"
                " `micro_batch_tokens`, and that of `sequence_length`",
            )


def _at(stages: Stages, progress: float) -> int:
    return next((value for end, value in stages if progress < end), stages[-1][1])


def _stages(key: str, text: str, last: int) -> Stages:
    found = []
    before = 0.0
    for part in text.replace(",", " ").split():
        value, _, end = part.partition(":")
        try:
            stage = float(end), int(value)
        except ValueError:
            stage = 0.0, 0
        if not before < stage[0] < 1:
            raise ConfigError(
                f"`{key} = {text}` has the part `{part}`",
                "write `VALUE:END` for each stage but the last, ends rising between 0 and 1, as in `512:0.3 1024:0.6`",
            )
        before = stage[0]
        found.append(stage)
    return (*found, (1.0, last))
