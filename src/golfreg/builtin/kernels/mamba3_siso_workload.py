"""What ``golfreg bench kernels mamba3_siso`` times: one layer of the field's hybrid (d_model 512, expand 2)."""

from __future__ import annotations

from typing import Any

from golfreg.api.workload import Work, Workload
from golfreg.builtin.kernels.mamba3_siso import projection_rows
from golfreg.builtin.kernels.mamba3_siso_cases import PARAMETERS, make_inputs

_SIZES: dict[str, bool | int | float | str] = {
    "batch": 32, "length": 4096, "n_heads": 16, "headdim": 64, "d_state": 64, "ngroups": 1, "rope_fraction": 0.5,
    "chunk_size": 64, "a_form": "heavy_tail",
}  # fmt: skip


def work(item_bytes: int, **sizes: Any) -> Work:
    """The projection is read, the output written; backward they are read and the projection's gradient is written.

    Operations are those of the chunked form: in a chunk of C, per position and head, the scores with the earlier
    positions and their use, C (N + P); what comes from before and what goes on, 4 N P. Backward twice that.
    """
    n_heads, P, N, C = sizes["n_heads"], sizes["headdim"], sizes["d_state"], sizes["chunk_size"]
    n_angles = int(N * sizes["rope_fraction"]) // 2
    width = sum(rows for _, rows in projection_rows(n_heads, P, N, sizes["ngroups"], n_angles))
    positions = sizes["batch"] * sizes["length"]
    projected, out = positions * width * item_bytes, positions * n_heads * P * item_bytes
    operations = positions * n_heads * (min(C, sizes["length"]) * (N + P) + 4 * N * P)
    return Work(projected + out, operations, 2 * projected + out, 2 * operations)


workload = Workload(
    sizes={"cuda": _SIZES, "cpu": {**_SIZES, "batch": 1, "length": 512, "n_heads": 4}},
    inputs=make_inputs,
    gradients=PARAMETERS,
    exact={"batch": 2, "length": 2048},
    work=work,
)
