"""What would fit under the cap, before training: an estimate from shapes and a model of the weights.

Codes are taken to be those of rows of Gaussian or of Laplace weights, each coded at its entropy: trained weights lie
between the two, as a rule, and a codec that models rows and columns is below both by some percent. Scales and small
tensors count as they are stored, the code as ``code_size`` predicts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from golfreg.pack.fit import LADDER, TOLERANCE
from golfreg.runner.code_size import predicted_code_bytes
from golfreg.runner.plan import Planned

_RAW_BYTES = {"float32": 4}
_HEADER_BYTES = 60
"""Of a section, about."""


@dataclass(frozen=True)
class Rung:
    """Every role at these bits: bits of a code and bytes of the artifact, for either model of the weights."""

    bits: int
    clip_std: float
    code_bits: tuple[float, float]
    """Gaussian, Laplace."""
    bytes: tuple[int, int]


@dataclass(frozen=True)
class Estimate:
    """``codes``, ``scales``, ``raw``: elements. ``cap_bits``: what the cap leaves for a code."""

    cap_bytes: int
    code_bytes: int
    codes: int
    scales: int
    raw: int
    cap_bits: float
    rungs: list[Rung]

    def verdict(self) -> str:
        """What it comes to, in a sentence."""
        fitting = [r for r in self.rungs if max(r.bytes) <= self.cap_bytes]
        most, least = max(self.rungs[-1].bytes), max(self.rungs[0].bytes)
        if least > self.cap_bytes:
            return (
                f"estimate: not even {self.rungs[0].bits} bits fit: about {least:,} bytes of {self.cap_bytes:,};"
                " the model is too large"
            )
        if most < (1 - TOLERANCE) * self.cap_bytes:
            return (
                f"estimate: the model is too small for the cap: about {most:,} of {self.cap_bytes:,} bytes"
                f" with every role at {self.rungs[-1].bits} bits"
            )
        return (
            f"estimate: {fitting[-1].bits} bits, clip {fitting[-1].clip_std:g} everywhere fit; the cap leaves"
            f" {self.cap_bits:.2f} bits a code, which `--fit` will share out by role"
        )


def estimate_fit(planned: Planned) -> Estimate | None:
    """None while the vocabulary, and so the model, is not known."""
    plan = planned.plan
    if not planned.tensors:
        return None
    config = plan.quantizer.make_config()
    smallest = getattr(config, "raw_elements", 0)
    codes = scales = raw = sections = 0
    for shape, role in planned.tensors.values():
        count = math.prod(shape)
        if len(shape) < 2 or count <= smallest:
            raw += count
            sections += 1
        else:
            codes += count
            scales += shape[0]
            sections += 2 * max(len(role.groups), 1)
    code_bytes = predicted_code_bytes(plan)
    fixed = 2 * scales + _RAW_BYTES.get(getattr(config, "raw_dtype", ""), 2) * raw + code_bytes
    fixed += _HEADER_BYTES * sections
    rungs = []
    for bits, clip_std in LADDER:
        highest = 2 ** (bits - 1) - 1
        each = (entropy(clip_std / highest, highest, gaussian), entropy(clip_std / highest, highest, laplace))
        rungs.append(Rung(bits, clip_std, each, (_bytes(codes, each[0], fixed), _bytes(codes, each[1], fixed))))
    cap = plan.limits.cap_bytes
    return Estimate(cap, code_bytes, codes, scales, raw, 8 * (cap - fixed) / max(codes, 1), rungs)


def gaussian(x: float) -> float:
    """Distribution function, of root mean square 1."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def laplace(x: float) -> float:
    """Distribution function, of root mean square 1."""
    tail = 0.5 * math.exp(-abs(x) * math.sqrt(2))
    return tail if x < 0 else 1 - tail


def entropy(step: float, highest: int, below: Callable[[float], float]) -> float:
    """Bits of the nearest code from -highest to highest of a weight. ``step``: in root mean squares."""
    edges = [0.0, *(below((k + 0.5) * step) for k in range(-highest, highest)), 1.0]
    shares = [high - low for low, high in pairwise(edges)]
    return -sum(p * math.log2(p) for p in shares if p > 0)


def _bytes(codes: int, bits: float, fixed: int) -> int:
    return round(codes * bits / 8) + fixed
