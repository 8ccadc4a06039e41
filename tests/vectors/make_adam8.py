#!/usr/bin/env python3
"""Reference values of 8-bit AdamW, 50 steps each:

  library  bitsandbytes' Adam8bit as it runs on a CPU: no decay, codes of the first moment may change their sign, and a
           value within some 1e-4 of the boundary between two codes may get the other one
  kernel   what bitsandbytes' GPU kernel does, in PyTorch: decay after the step, codes are the nearest and keep their sign
  small    bitsandbytes' Adam8bit on a tensor that keeps 32-bit moments

usage: make_adam8.py OUTPUT.safetensors    (PyTorch, bitsandbytes, safetensors and numpy from PyPI)
"""
import math
import sys

import bitsandbytes
import bitsandbytes.functional as functional
import torch
from safetensors.numpy import save_file

from hashed import gradients

STEPS = 50
SIZES = {"library": 4096 + 77, "kernel": 4096 + 77, "small": 300}
LR, DECAY, BETA1, BETA2, EPS, BLOCK = 1e-2, 0.1, 0.9, 0.999, 1e-8, 256


def quantize(x, code_map):
    """Codes and block maxima: of two equally near codes the lower."""
    blocks = torch.nn.functional.pad(x, (0, -len(x) % BLOCK)).view(-1, BLOCK)
    absmax = blocks.abs().max(dim=1).values
    scaled = (blocks / absmax[:, None]).view(-1)[: len(x)]
    return torch.bucketize(scaled, (code_map[:-1] + code_map[1:]) * 0.5).to(torch.uint8), absmax


class Kernel:
    """bitsandbytes' kOptimizerStatic8bit2StateBlockwise."""

    def __init__(self, count):
        self.map1 = functional.create_dynamic_map(signed=True)
        self.map2 = functional.create_dynamic_map(signed=False)
        blocks = (count + BLOCK - 1) // BLOCK
        self.state1 = torch.zeros(count, dtype=torch.uint8)
        self.state2 = torch.zeros(count, dtype=torch.uint8)
        self.absmax1 = torch.zeros(blocks)
        self.absmax2 = torch.zeros(blocks)

    def step(self, p, g, t):
        ops = torch.ops.bitsandbytes
        m = ops.dequantize_blockwise(self.state1, self.absmax1, self.map1, BLOCK, torch.float32)
        v = ops.dequantize_blockwise(self.state2, self.absmax2, self.map2, BLOCK, torch.float32)
        m = m * BETA1 + (1 - BETA1) * g
        v = v * BETA2 + (1 - BETA2) * g * g
        root = math.sqrt(1 - BETA2**t)
        p += -LR * root / (1 - BETA1**t) * (m / (v.sqrt() + root * EPS))
        p *= 1 - LR * DECAY
        self.state1, self.absmax1 = quantize(m, self.map1)
        self.state2, self.absmax2 = quantize(v, self.map2)
        flipped = torch.signbit(self.map1[self.state1.long()]) != torch.signbit(m)
        moved = torch.where(m > 0, self.state1.int() + 1, self.state1.int() - 1)
        self.state1 = torch.where(flipped, moved, self.state1.int()).to(torch.uint8)


def main():
    out = {}
    params = {name: torch.nn.Parameter(torch.from_numpy(gradients(1000, n))) for name, n in SIZES.items()}
    optimizer = bitsandbytes.optim.Adam8bit([params["library"], params["small"]], lr=LR)
    kernel = Kernel(SIZES["kernel"])
    for step in range(STEPS):
        for name, p in params.items():
            p.grad = torch.from_numpy(gradients(step, SIZES[name]))
        optimizer.step()
        with torch.no_grad():
            kernel.step(params["kernel"], params["kernel"].grad, step + 1)
        if step + 1 in (1, 10, STEPS):
            for name, p in params.items():
                out[f"{name}.{step + 1}"] = p.detach().numpy().copy()
    for key in ("state1", "state2"):
        out[f"library.{key}"] = optimizer.state[params["library"]][key].numpy().copy()
        out[f"kernel.{key}"] = getattr(kernel, key).numpy().copy()
    for name, has_sign in (("map_signed", True), ("map_unsigned", False)):
        out[name] = functional.create_dynamic_map(signed=has_sign).numpy().astype("float32")
    save_file(out, sys.argv[1])
    print(torch.__version__, bitsandbytes.__version__)


main()
