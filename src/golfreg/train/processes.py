"""Several processes of one host that train together, each with a GPU of its own (NCCL), or on the CPU (gloo).

The first process (rank 0) is the one that golfreg started; it starts the others as copies of its own
command. They meet through a file, add up gradients through the collectives of ``torch.distributed``,
and learn what to do next from lines on their standard input: so only rank 0 looks at the clock, the
losses and signals, and no process waits for a GPU to learn that training goes on.

Nobody outlives anybody: rank 0 watches the others and ends the run when one is lost; the system ends
them when rank 0 is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from golfreg.api.errors import EXIT_BUG, EnvironmentFault
from golfreg.config.job import tell
from golfreg.train.group import Group

if TYPE_CHECKING:
    from golfreg.train.steps import Steps

VARIABLE = "GOLFREG_RANK"
"""``RANK/DIRECTORY`` in the environment of all processes but the first."""

_ALL_GATHER = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # the first is new in torch 2.13
_COMMANDS = frozenset({"step", "warm_up", "save", "load_file"})
"""Methods of ``Steps`` that rank 0 has the others call."""

_PATIENCE = timedelta(minutes=10)
"""A process may compile for that long while the others wait."""
_PR_SET_PDEATHSIG = 1


def given_rank() -> int:
    """The rank of this process; 0 for one that golfreg's launcher started."""
    return int(os.environ.get(VARIABLE, "0").partition("/")[0])


class Processes(Group):
    """This process among ``size`` others. The first one starts the others, which ``follow`` it."""

    def __init__(self, size: int, device: str, resume_hint: str = "") -> None:
        self.size, self.rank, self.device, self.resume_hint = size, given_rank(), device, resume_hint
        self.others: list[subprocess.Popen[bytes]] = []
        self._closing = False
        if device == "cuda" and torch.cuda.device_count() < size:
            raise EnvironmentFault(
                f"training was planned on {size} GPUs and torch finds {torch.cuda.device_count()}",
                hint="go on where the GPUs are; a new run takes any number with `--nproc`",
            )
        if self.rank:
            _end_with_parent()
            self.directory = Path(os.environ[VARIABLE].partition("/")[2])
        else:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(max(1, cores // size)))
            self.directory = Path(tempfile.mkdtemp(prefix="golfreg-ranks-"))
            self.others = [self._start(rank) for rank in range(1, size)]
            threading.Thread(target=self._watch, name="watch", daemon=True).start()
        if device == "cuda":
            torch.cuda.set_device(self.rank)

    def _start(self, rank: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, VARIABLE: f"{rank}/{self.directory}"}
        return subprocess.Popen([sys.executable, *sys.orig_argv[1:]], stdin=subprocess.PIPE, env=environment)

    def join(self) -> None:
        """Meet the others. EnvironmentFault where that is not possible."""
        # One host: the loopback interface is enough, and is there where no network is.
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(variable, "lo0" if sys.platform == "darwin" else "lo")
        backend, where = "gloo", None
        if self.device == "cuda":
            backend, where = "nccl", torch.device("cuda", self.rank)
        try:
            dist.init_process_group(
                backend,
                init_method=(self.directory / "rendezvous").as_uri(),
                rank=self.rank,
                world_size=self.size,
                timeout=_PATIENCE,
                device_id=where,
            )
        except (RuntimeError, ValueError, OSError) as error:
            self.failed(error)
            raise EnvironmentFault(
                f"the {self.size} processes of training cannot reach each other: {error}",
                hint="train with `--nproc 1`, or see `golfreg doctor`",
            ) from error

    def tell(self, *words: object) -> None:
        line = json.dumps(words).encode() + b"\n"
        for other in self.others:
            assert other.stdin is not None
            with contextlib.suppress(BrokenPipeError, ValueError):  # it is gone, and the watch ends the run
                other.stdin.write(line)
                other.stdin.flush()

    def sum_gradients(self, parameters: Sequence[Tensor], loss: Tensor) -> Tensor:
        """One sum over all gradients, laid side by side. The gradients are then parts of one buffer."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        sizes = [p.numel() for p in parts]
        flat = torch.cat([*(p.flatten().float() for p in parts), loss.float().reshape(1)])
        dist.all_reduce(flat)
        *pieces, total = flat.split([*sizes, 1])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter).to(parameter.dtype)
        return total[0]

    def gather(self, mine: Tensor) -> tuple[Tensor, Callable[[], None]]:
        everything = mine.new_empty(self.size * mine.size(0), *mine.shape[1:])
        work = _ALL_GATHER(everything, mine, async_op=True)
        return everything, work.wait

    def align(self, tensors: Mapping[str, Tensor]) -> None:
        for tensor in tensors.values():
            dist.broadcast(tensor, 0)

    def failed(self, error: BaseException) -> None:
        """Wait a moment for the watch, which ends the run if another process is gone."""
        if self.rank == 0:
            time.sleep(5.0)

    def close(self, *, well: bool) -> None:
        if self._closing:
            return
        self._closing = True
        if well:
            self.tell("leave")
            if dist.is_initialized():
                dist.destroy_process_group()
        for other in self.others:
            if well:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    other.wait(10.0)
            other.kill()
            other.wait()
            with contextlib.suppress(BrokenPipeError):
                if other.stdin is not None:
                    other.stdin.close()
        if self.rank == 0:
            shutil.rmtree(self.directory, ignore_errors=True)

    def follow(self, steps: Steps) -> NoReturn:
        """In the other processes: do what rank 0 tells until it says that all is done; the process ends here."""
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            if name == "leave":
                steps.close()
                self.close(well=True)
                sys.exit(0)
            assert name in _COMMANDS
            getattr(steps, name)(*arguments)
        os._exit(1)  # rank 0 is gone

    def _watch(self) -> None:
        """End the run when another process ends before it was told to."""
        while not self._closing:
            time.sleep(0.2)
            codes = [other.poll() for other in self.others]
            if all(code is None for code in codes):
                continue
            if not any(code is not None and code < 0 for code in codes):
                time.sleep(1.0)  # one that was killed is the reason why those that talked to it failed
                codes = [other.poll() for other in self.others]
            if not self._closing:
                self._end_run(codes)

    def _end_run(self, codes: list[int | None]) -> None:
        ended = {rank: code for rank, code in enumerate(codes, 1) if code is not None}
        killed = {rank: code for rank, code in ended.items() if code < 0}
        rank, code = next(iter((killed or ended).items()))
        if code > 0 and code != EXIT_BUG:
            exit_code = code  # it has said why
        else:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "failed"
            fault = EnvironmentFault(
                f"process {rank} of the {self.size} that train (counted from 0) {how}",
                hint=f"out of memory? the stage's log may tell; {self.resume_hint}",
            )
            exit_code = fault.exit_code
            print(f"error: {fault.message}", file=sys.stderr, flush=True)
            with contextlib.suppress(OSError):
                tell("error", message=fault.message, hint=fault.hint, exit_code=exit_code)
        for other in self.others:
            other.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        os._exit(exit_code)


def _end_with_parent() -> None:
    """Die with rank 0, and leave signals to it: it decides what is saved."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
