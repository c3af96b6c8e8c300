import os
import signal

import torch

from golfreg.api import Case
from golfreg.api.workload import Work, Workload


def cubed(x):
    return x * x * x


def make(device, dtype, seed, *, rows=7, columns=5, kind="normal"):
    generator = torch.Generator().manual_seed(seed)
    return {"x": torch.randn(rows, columns, generator=generator).to(device, dtype)}


class Op:
    reference = staticmethod(cubed)

    def cases(self):
        return [Case("small", make, ("x",)), Case("one", lambda *a: make(*a, rows=1), ("x",))]

    def tolerance(self, dtype):
        return 1e-5

    def workload(self):
        sizes = {"rows": 64, "columns": 32, "kind": "normal"}
        return Workload({"cpu": sizes, "cuda": sizes}, make, ("x",), {"rows": 16}, self.work)

    def work(self, item_bytes, rows, columns, kind):
        n = rows * columns
        return Work(2 * n * item_bytes, 2 * n, 3 * n * item_bytes, 3 * n)


class Implementation:
    def __init__(self, call):
        self.call = call

    def supports(self, device, dtype, **static):
        return None


def crash(x):
    os.kill(os.getpid(), signal.SIGSEGV)


op = Op()
reference = Implementation(cubed)
wrong = Implementation(lambda x: x * x * x * 1.001)
crashes = Implementation(crash)
