#!/usr/bin/env python3
"""Reference values of GaLore: 12 steps of the authors' GaLoreAdamW (PyPI: galore-torch) on the parameters of a one-layer
model, exact SVD, refreshed every 5 steps. The sign of a singular vector is arbitrary; the one thing changed is that each
pair is turned so that the largest element of the right vector is positive, as lib/linalg/svd.h does.

usage: make_galore.py OUTPUT.safetensors    (PyTorch, galore-torch, safetensors and numpy from PyPI)
"""
import sys

import torch
from galore_torch import GaLoreAdamW
from safetensors.numpy import save_file

from hashed import gradients

STEPS, RANK, GAP = 12, 4, 5
HIDDEN, FFN, VOCAB = 16, 24, 11
# In the order of files.
SHAPES = (
    [("embed", (VOCAB, HIDDEN)), ("norm1", (HIDDEN,))]
    + [(name, (HIDDEN, HIDDEN)) for name in ("q", "k", "v", "o")]
    + [("norm2", (HIDDEN,)), ("gate", (FFN, HIDDEN)), ("up", (FFN, HIDDEN)), ("down", (HIDDEN, FFN))]
    + [("norm", (HIDDEN,)), ("head", (VOCAB, HIDDEN))]
)
PROJECTED = {"q", "k", "v", "o", "gate", "up", "down"}

plain_svd = torch.linalg.svd


def svd(a, full_matrices=True):
    u, s, v = plain_svd(a, full_matrices=False)
    sign = torch.sign(v.gather(1, v.abs().argmax(dim=1, keepdim=True))).squeeze(1)
    return u * sign, s, v * sign[:, None]


def main():
    torch.linalg.svd = svd
    params = {}
    for i, (name, shape) in enumerate(SHAPES):
        count = torch.Size(shape).numel()
        params[name] = torch.nn.Parameter(torch.from_numpy(gradients(5000 + i, count)).view(shape))
    optimizer = GaLoreAdamW(
        [
            {"params": [p for n, p in params.items() if n not in PROJECTED]},
            {
                "params": [p for n, p in params.items() if n in PROJECTED],
                "rank": RANK,
                "update_proj_gap": GAP,
                "scale": 0.25,
                "proj_type": "std",
            },
        ],
        lr=1e-2,
        weight_decay=0.1,
        no_deprecation_warning=True,
    )
    for step in range(STEPS):
        for i, (name, shape) in enumerate(SHAPES):
            p = params[name]
            p.grad = torch.from_numpy(gradients(100 * step + i, p.numel())).view(shape)
        optimizer.step()
    save_file({name: p.detach().numpy() for name, p in params.items()}, sys.argv[1])
    print(torch.__version__)


main()
