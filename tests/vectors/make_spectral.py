#!/usr/bin/env python3
"""Reference values of orthogonalised momentum: 8 steps of muon and spectral (lib/optim/spectral.c) on the parameters of a
one-layer model, full-rank and sparse plus low-rank, in float64. What is orthogonalised is also given to torch.optim.Muon,
which does its iterations in bfloat16 and has to agree as far as that goes.

usage: make_spectral.py OUTPUT.safetensors    (PyTorch 2.9 or later, safetensors and numpy from PyPI)
"""
import sys

import torch
from safetensors.numpy import save_file

from hashed import gradients

STEPS, RANK, ALPHA, POSITIONS = 8, 4, 2.0, 0.1
HIDDEN, FFN, VOCAB = 16, 24, 11
LR, SPECTRAL_LR, MOMENTUM, DECAY = 1e-2, 5e-2, 0.95, 0.1
LINEARS = {
    "q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "o": (HIDDEN, HIDDEN),
    "gate": (FFN, HIDDEN), "up": (FFN, HIDDEN), "down": (HIDDEN, FFN),
}


def shapes(sparse):
    """Parameters in the order of files."""

    def linear(name):
        out, cols = LINEARS[name]
        if not sparse:
            return [(name, (out, cols))]
        return [(name + ".A", (RANK, cols)), (name + ".B", (out, RANK)), (name + ".S", (int(POSITIONS * out * cols),))]

    listed = [("embed", (VOCAB, HIDDEN)), ("norm1", (HIDDEN,))]
    for name in LINEARS:
        listed += [("norm2", (HIDDEN,))] if name == "gate" else []
        listed += linear(name)
    return listed + [("norm", (HIDDEN,)), ("head", (VOCAB, HIDDEN))]


def tensor(seed, shape):
    return torch.from_numpy(gradients(seed, torch.Size(shape).numel())).double().view(shape)


def orthogonal(x):
    """Newton-Schulz from the left, as published."""
    turned = x.size(0) > x.size(1)
    x = x.T if turned else x
    x = x / x.norm()
    for _ in range(5):
        g = x @ x.T
        x = 3.4445 * x + (-4.7750 * g + 2.0315 * g @ g) @ x
    return x.T if turned else x


def stretch(out, cols):
    return max(1.0, out / cols) ** 0.5


class Adam:
    def __init__(self, p):
        self.m, self.v = torch.zeros_like(p), torch.zeros_like(p)

    def step(self, p, g, t):
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        p *= 1 - LR * DECAY
        p -= LR / (1 - 0.9**t) * self.m / ((self.v / (1 - 0.999**t)).sqrt() + 1e-8)


class Momentum:
    def __init__(self, p, vector_seed):
        self.m = torch.zeros_like(p)
        self.vector = tensor(vector_seed, (RANK,))
        self.vector /= self.vector.norm()

    def direction(self, g):
        self.m = MOMENTUM * self.m + g
        return orthogonal(g + MOMENTUM * self.m)

    def norm(self, f):
        """Of a factor whose rows (A) or columns (B) are those of the rank."""
        f = f.T if f.size(0) == RANK else f
        w = f @ self.vector
        length = w.norm()
        self.vector = f.T @ (w / length) + 1e-6 * self.vector
        self.vector /= self.vector.norm()
        return length


def run(kind, sparse):
    params, states = {}, {}
    for i, (name, shape) in enumerate(shapes(sparse)):
        p = params[name] = tensor(5000 + i, shape)
        matrix = name.split(".")[0] in LINEARS and p.dim() == 2
        states[name] = Momentum(p, 7000 + i) if matrix else Adam(p)
    for step in range(STEPS):
        grads = {name: tensor(100 * step + i, shape) for i, (name, shape) in enumerate(shapes(sparse))}
        for name, p in params.items():
            state = states[name]
            if isinstance(state, Adam):
                state.step(p, grads[name], step + 1)
            elif kind == "muon" or not sparse:
                p *= 1 - SPECTRAL_LR * DECAY
                p -= SPECTRAL_LR * stretch(*p.shape) * state.direction(grads[name])
            elif name.endswith(".A"):
                linear = name[:-2]
                both = [(params[n], states[n], grads[n]) for n in (name, linear + ".B")]
                norms = sum(s.norm(f) for f, s, _ in both)
                k = SPECTRAL_LR * stretch(*LINEARS[linear]) / (ALPHA / RANK * norms)
                for f, s, g in both:
                    f *= 1 - SPECTRAL_LR * DECAY
                    f -= k * s.direction(g)
    return {name: p.float().numpy() for name, p in params.items()}


def check_torch():
    """torch.optim.Muon on one matrix."""
    ours, state = tensor(5000, (24, 16)), Momentum(torch.zeros(24, 16).double(), 1)
    p = torch.nn.Parameter(ours.float().clone())
    theirs = torch.optim.Muon([p], lr=SPECTRAL_LR, momentum=MOMENTUM, weight_decay=DECAY, adjust_lr_fn="original")
    for step in range(STEPS):
        g = tensor(100 * step, (24, 16))
        p.grad = g.float()
        theirs.step()
        ours *= 1 - SPECTRAL_LR * DECAY
        ours -= SPECTRAL_LR * stretch(24, 16) * state.direction(g)
    off = ((p.detach().double() - ours).norm() / (ours - tensor(5000, (24, 16))).norm()).item()
    print(f"torch.optim.Muon is off by {off:.1e} of the way")
    assert off < 3e-2


check_torch()
saved = {}
for kind, sparse in (("muon", False), ("muon", True), ("spectral", True)):
    for name, values in run(kind, sparse).items():
        saved[f"{kind}-{'sltrain' if sparse else 'full'}/{name}"] = values
save_file(saved, sys.argv[1])
print(torch.__version__)
