"""Rounds each matrix to int8 with one scale, chosen for the least error weighted by the second moment of its input."""

import numpy as np
import torch

from golfreg.api.codec import NoConfig
from golfreg.api.values import Layout, Section


class Weighted:
    Config = NoConfig
    needs = frozenset({"input_second_moment"})

    def quantize(self, state, roles, statistics, budget, config):
        moments = statistics["input_second_moment"]
        sections = []
        for name, weight in state.items():
            role, shape = roles[name].name, tuple(weight.shape)
            if name not in moments:
                data = weight.numpy().astype(np.float32)
                sections.append(Section(Layout(name, "raw", role, shape, "float32"), data))
                continue
            scales = [weight.abs().max() * k / 127 for k in (0.5, 0.75, 1.0)]
            codes = [torch.clamp(torch.round(weight / s), -127, 127) for s in scales]
            wrongs = [c * s - weight for c, s in zip(codes, scales, strict=True)]
            errors = [torch.trace(wrong @ moments[name] @ wrong.T) for wrong in wrongs]
            best = int(torch.stack(errors).argmin())
            scale = np.array([scales[best].item()], np.float32)
            sections.append(Section(Layout(name, "scale", role, (1,), "float32"), scale))
            layout = Layout(name, "codes", role, shape, "int8", alphabet=(-127, 127))
            sections.append(Section(layout, codes[best].to(torch.int8).numpy()))
        return sections

    def dequantize(self, sections, config):
        scales, state = {}, {}
        for section in sections:
            layout, data = section.layout, torch.from_numpy(np.array(section.data))
            if layout.part == "scale":
                scales[layout.tensor] = data
            elif layout.part == "codes":
                state[layout.tensor] = data.float() * scales[layout.tensor]
            else:
                state[layout.tensor] = data
        return state


weighted = Weighted()
