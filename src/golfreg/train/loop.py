"""The training loop: the clock, readings, checkpoints, signals. What a step is stands in ``golfreg.train.steps``."""

from __future__ import annotations

import contextlib
import math
import resource
import signal
import sys
from collections import deque
from typing import Any

import torch

from golfreg.api.errors import AnswerIsNo, EnvironmentFault, GolfregError
from golfreg.config.job import Job
from golfreg.train.checkpoint import Checkpoints
from golfreg.train.clock import Clock
from golfreg.train.interrupt import Interrupted, Listening
from golfreg.train.metrics import Metrics, Readings
from golfreg.train.steps import Steps
from golfreg.train.throughput import Throughput

_CAUTION = 1.25
"""A step is begun if this many times the slowest recent one still fits."""


class Training:
    """One training stage: ``run`` trains, or goes on from the newest checkpoint.

    It runs in the first process only. ``throughput`` says how much of the device is used.
    """

    def __init__(self, job: Job, steps: Steps, throughput: Throughput | None = None) -> None:
        self.job, self.steps, self.state, self.schedule = job, steps, steps.state, steps.schedule
        self.settings = job.plan.spec.train
        self.device = job.plan.device
        self.throughput = throughput or Throughput(0, None)
        directory = job.run_dir / "train"
        try:
            directory.mkdir(exist_ok=True)
            self.clock = Clock(directory / "heartbeat")
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write in `{directory}`: {error.strerror}", hint="free the disk or check its permissions"
            ) from error
        self.checkpoints = Checkpoints(directory, job.plan.spec_digest)
        self.readings = Readings(self.device)
        self.step_seconds: deque[float] = deque(maxlen=8)
        self.checkpoint_seconds = 0.0
        self.last_loss = math.nan
        self.compile_seconds = 0.0

    def run(self) -> dict[str, Any]:
        """Train to the end; the stage's result.

        AnswerIsNo if the loss is no longer a number or no step fits the time, Interrupted on SIGINT and SIGTERM.
        """
        with contextlib.closing(self.clock), contextlib.closing(self.steps), Listening() as self.listening:
            try:
                finished_seconds = self._run()
            except BaseException as error:
                if isinstance(error, Exception) and not isinstance(error, GolfregError):
                    self.steps.group.failed(error)
                self.steps.group.close(well=False)
                raise
            result = self._result(finished_seconds)
            self.steps.group.close(well=True)
            return result

    def _run(self) -> float:
        """Train; what the clock shows at the end."""
        finished_seconds = self._resume()
        with contextlib.closing(Metrics(self.job.run_dir / "metrics.jsonl", self.state.step)) as self.metrics:
            if finished_seconds is None:
                if self.steps.gradients.compiled or self.device == "cuda":
                    self._warm_up()
                self._train()
                finished_seconds = self.clock.stop()
                self._checkpoint(finished=True)
        return finished_seconds

    def _train(self) -> None:
        state, clock, schedule, every = self.state, self.clock, self.schedule, self.settings.checkpoint_steps
        checkpoint_due = clock.elapsed() + self.settings.checkpoint_seconds
        while self._another_step_fits():
            begun = clock.elapsed()
            known = {"rate": round(schedule.rate(state.step, begun), 6), **self._form(begun)}
            loss, norm = self.steps.step(begun)
            self.readings.push(self._describe(known), loss, norm)
            self._read(keep=self.readings.lag)
            self.step_seconds.append(clock.elapsed() - begun)

            if self.listening.received:
                self._leave(self.listening.received)
            due = (every and state.step % every == 0) or (clock.elapsed() >= checkpoint_due and self._time_to_save())
            if due and self._another_step_fits():  # the last step's checkpoint is written by run()
                self._checkpoint()
                checkpoint_due = clock.elapsed() + self.settings.checkpoint_seconds
        self._read(keep=0)
        if not state.step:
            raise AnswerIsNo(
                f"no training step was made in {schedule.seconds:.1f} s",
                hint="set a longer `train.seconds` or a smaller `train.batch_tokens`",
            )

    def _another_step_fits(self) -> bool:
        if self.schedule.steps:
            return self.state.step < self.schedule.steps
        expected = max(self.step_seconds, default=0.0) * (_CAUTION + self.readings.lag)
        return self.clock.elapsed() + expected < self.schedule.seconds

    def _time_to_save(self) -> bool:
        """Whether a checkpoint would not cost the run its last steps."""
        return bool(self.schedule.steps) or self.clock.elapsed() + 2 * self.checkpoint_seconds < self.schedule.seconds

    def _form(self, elapsed_seconds: float) -> dict[str, int]:
        """The step's shape, where a schedule changes it, and its processes, where there are several."""
        form = {"processes": self.steps.group.size} if self.steps.group.size > 1 else {}
        if self.settings.batch_tokens_schedule or self.settings.sequence_length_schedule:
            batch_tokens, length = self.schedule.shape(self.state.step, elapsed_seconds)
            form |= {"batch_tokens": batch_tokens, "sequence_length": length}
        return form

    def _describe(self, known: dict[str, Any]) -> dict[str, Any]:
        elapsed = self.clock.elapsed()
        return {
            "step": self.state.step,
            **known,
            "tokens": self.state.tokens,
            "train_seconds": round(elapsed, 3),
            "tokens_per_second": round(self.state.tokens / max(elapsed, 1e-9), 1),
        }

    def _read(self, keep: int) -> None:
        """Take in the values of all steps but the newest ``keep``, and stop if one is no number."""
        for known, loss, norm in self.readings.pop(keep):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                self._flush()
                raise self._diverged(known["step"], loss, norm)
            self.last_loss = loss
            self.metrics.add(loss=round(loss, 6), gradient_norm=round(norm, 6), **known)
            if self.clock.beat():
                self._flush()
                self._tell_progress(known)

    def _tell_progress(self, known: dict[str, Any]) -> None:
        done, total = (
            (known["step"], self.schedule.steps)
            if self.schedule.steps
            else (known["train_seconds"], self.schedule.seconds)
        )
        left = known["train_seconds"] * (total / max(done, 1e-9) - 1.0)
        text = f"loss {self.last_loss:.3f}  {known['tokens_per_second'] / 1000:.1f}k tokens/s"
        used = self.throughput.utilization(known["tokens_per_second"])
        if used is not None:
            text += f"  {100 * used:.0f} % of peak FLOPs"
        self._tell("progress", done=done, total=total, text=text, left_seconds=round(left, 1))

    def _tell(self, event: str, **values: Any) -> None:
        try:
            self.job.tell(event, **values)
        except BrokenPipeError:  # the launcher is gone: save the work and go too
            self.listening.received = self.listening.received or signal.SIGTERM

    def _note(self, text: str) -> None:
        self._tell("note", text=text)

    def _flush(self) -> None:
        try:
            self.metrics.flush()
        except OSError as error:
            self._note(f"warning: metrics.jsonl lacks some lines: {error.strerror}")

    def _diverged(self, step: int, loss: float, norm: float) -> AnswerIsNo:
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm}"
        kept = self.checkpoints.paths()
        where = f"the last good checkpoint is `{kept[-1]}`" if kept else "no checkpoint had been written"
        return AnswerIsNo(
            f"training diverged: {what} at step {step}",
            hint=f"{where}; lower `train.matrix_lr`, `train.embedding_lr` or `train.scalar_lr`",
        )

    def _leave(self, number: int) -> None:
        """Checkpoint and stop because of a signal."""
        self._read(keep=0)
        saved = self._checkpoint()
        where = f"checkpoint at step {self.state.step}" if saved else "no checkpoint could be written"
        raise Interrupted(
            number,
            f"training was stopped by {signal.Signals(number).name}; {where}",
            hint=f"go on with `golfreg run --resume {self.job.run_dir}`",
        )

    def _checkpoint(self, finished: bool = False) -> bool:
        """Write a checkpoint; whether the disk took it. Only of weights that are known to be numbers."""
        self._read(keep=0)
        self._flush()  # first: a kill right after the checkpoint would lose the lines of steps that are not made again
        begun = self.clock.elapsed()
        tensors, numbers = self.steps.save()
        numbers_now = {
            **numbers,
            "elapsed_seconds": self.clock.elapsed(),
            "finished": finished,
            "final_loss": self.last_loss,
        }
        try:
            self.checkpoints.write(tensors, numbers_now)
        except OSError as error:
            self._note(f"warning: no checkpoint at step {self.state.step}: {error.strerror}")
            return False
        finally:
            self.checkpoint_seconds = self.clock.elapsed() - begun
            self.clock.beat(0.0)
        return True

    def _resume(self) -> float | None:
        """Load the newest checkpoint, if there is one; the clock's last time if training was over, else None."""
        found = self.checkpoints.newest(self._note)
        if found is None:
            if self.clock.elapsed() > 1.0:
                self._note(f"training starts again from step 0; {self.clock.elapsed():.1f} s are charged")
            return None
        self.steps.load(found.path, found.tensors, found.numbers)
        self.last_loss = float(found.numbers["final_loss"])
        elapsed = float(found.numbers["elapsed_seconds"])
        if found.numbers["finished"]:
            return elapsed
        self.clock.charge_at_least(elapsed)
        self._note(f"training goes on from step {self.state.step}; {self.clock.elapsed():.1f} s are charged")
        return None

    def _warm_up(self) -> None:
        """Compile and tune off the clock."""
        with self.clock.paused():
            begun = self.clock.now()
            compiled = self.steps.gradients.compiled
            self._tell("progress", done=0, total=1, text="compiling" if compiled else "warming up")
            self.steps.warm_up()
            self.compile_seconds = self.clock.now() - begun

    def _result(self, train_seconds: float) -> dict[str, Any]:
        state = self.state
        return {
            "steps": state.step,
            "tokens": state.tokens,
            "train_seconds": train_seconds,
            "compile_seconds": self.compile_seconds,
            "final_loss": self.last_loss,
            "parameters": sum(p.numel() for p in self.steps.parameters),
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "tokens_per_second": state.tokens / train_seconds,
            "processes": self.steps.group.size,
            "resumed": self.clock.resumed,
        }


def peak_memory_bytes(device: str) -> int:
    """Most memory in use so far: allocated on the GPU, or resident on the CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
