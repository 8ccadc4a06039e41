#!/usr/bin/env python3
"""Training speed of the same models in PyTorch, for tests/bench/gpu: tokens per second of the median step.

usage: train_peer.py METHOD HIDDEN INTERMEDIATE HEADS LAYERS VOCAB RANK DENSITY BATCH SEQ STEPS [DEVICE]

METHOD full: a LLaMA of nn.Linear layers, each layer compiled (which takes as long as one), scaled_dot_product_attention,
AdamW (fused), in bfloat16; on a CPU in float32.
METHOD galore: the same with the method's published optimizer: linears of layers are updated by Adam on their gradients'
projections to RANK, one after the other. The seconds of finding all projectors, which happens once in 200 steps, are
printed behind the speed of the steps between; they are those of one linear of each shape, as often as there are such.
METHOD sltrain: the same in eager mode with linears that do what the method's published implementation does: build
W = alpha/r B A, add the values of S at its flat int64 positions, multiply; backward forms dW and reads the factors'
gradients and, by a gather, the values' gradient off it.
Random tokens and weights: only the time counts.
"""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class SparseLowRank(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, b, a, values, index, scale):
        ctx.save_for_backward(x, b, a, values, index)
        ctx.scale = scale
        return x @ dense(b, a, values, index, scale).T

    @staticmethod
    def backward(ctx, dy):
        x, b, a, values, index = ctx.saved_tensors
        dx = dy @ dense(b, a, values, index, ctx.scale)
        dw = dy.flatten(0, -2).T @ x.flatten(0, -2)
        return dx, ctx.scale * dw @ a.T, ctx.scale * b.T @ dw, dw.flatten().gather(0, index), None, None


def dense(b, a, values, index, scale):
    w = scale * (b @ a)
    w.view(-1).scatter_add_(0, index, values)
    return w


class SltrainLinear(nn.Module):
    def __init__(self, inputs, outputs, rank, density):
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        count = int(density * inputs * outputs)
        self.register_buffer("index", torch.randperm(inputs * outputs)[:count].sort().values)
        self.values = nn.Parameter(torch.zeros(count))
        self.scale = 8 / rank

    def forward(self, x):
        return SparseLowRank.apply(x, self.b, self.a, self.values, self.index, self.scale)


class Norm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, 1e-6)


def rotate(x, cos, sin):
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


class Layer(nn.Module):
    def __init__(self, d, f, heads, linear):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = Norm(d), Norm(d)
        self.q, self.k, self.v, self.o = (linear(d, d) for _ in range(4))
        self.gate, self.up, self.down = linear(d, f), linear(d, f), linear(f, d)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        n = self.norm1(x)
        q, k, v = (p(n).view(b, t, self.heads, d // self.heads).transpose(1, 2) for p in (self.q, self.k, self.v))
        o = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.o(o.transpose(1, 2).reshape(b, t, d))
        n = self.norm2(x)
        return x + self.down(F.silu(self.gate(n)) * self.up(n))


class Llama(nn.Module):
    def __init__(self, d, f, heads, layers, vocab, seq, linear):
        super().__init__()
        self.embedding = nn.Embedding(vocab, d)
        self.layers = nn.ModuleList(Layer(d, f, heads, linear) for _ in range(layers))
        self.norm, self.head = Norm(d), nn.Linear(d, vocab, bias=False)
        half = d // heads // 2
        angle = torch.outer(torch.arange(seq), 10000 ** (-torch.arange(half) / half)).repeat(1, 2)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


class Projector:
    """Onto the first singular vectors of the shorter side, as galore_torch has it."""

    def __init__(self, grad, rank):
        u, _, vh = torch.linalg.svd(grad.float(), full_matrices=False)
        self.right = grad.shape[0] >= grad.shape[1]
        self.basis = (vh[:rank] if self.right else u[:, :rank]).to(grad.dtype)

    def project(self, grad):
        return grad @ self.basis.T if self.right else self.basis.T @ grad

    def project_back(self, low):
        return low @ self.basis if self.right else self.basis @ low


class Galore:
    def __init__(self, layers, others, rank, lr=1e-4, scale=0.25):
        self.rank, self.lr, self.scale = rank, lr, scale
        self.states = [{"p": p, "projects": p in layers, "step": 0} for p in [*layers, *others]]
        self.projectors, self.refresh_seconds = {}, 0.0

    def refresh(self, state):
        grad = state["p"].grad
        if grad.shape not in self.projectors:
            for _ in range(2):  # the first one sets a library up
                now = time.perf_counter()
                projector = Projector(grad, self.rank)
                if grad.is_cuda:
                    torch.cuda.synchronize()
                self.projectors[grad.shape] = projector, time.perf_counter() - now
        state["projector"], seconds = self.projectors[grad.shape]
        self.refresh_seconds += seconds

    @torch.no_grad()
    def step(self):
        for s in self.states:
            grad = s["p"].grad
            if s["projects"]:
                if "projector" not in s:
                    self.refresh(s)
                grad = s["projector"].project(grad)
            if s["step"] == 0:
                s["mean"], s["square"] = torch.zeros_like(grad), torch.zeros_like(grad)
            s["step"] += 1
            s["mean"].mul_(0.9).add_(grad, alpha=0.1)
            s["square"].mul_(0.999).addcmul_(grad, grad, value=0.001)
            change = s["mean"] / s["square"].sqrt().add_(1e-6)
            if s["projects"]:
                change = s["projector"].project_back(change) * self.scale
            s["p"].add_(change, alpha=-self.lr * (1 - 0.999 ** s["step"]) ** 0.5 / (1 - 0.9 ** s["step"]))

    def zero_grad(self, set_to_none):
        for s in self.states:
            s["p"].grad = None


def main():
    method = sys.argv[1]
    d, f, heads, layers, vocab, rank = (int(a) for a in sys.argv[2:8])
    density = float(sys.argv[8])
    batch, seq, steps = (int(a) for a in sys.argv[9:12])
    device = sys.argv[12] if len(sys.argv) > 12 else "cuda"
    torch.manual_seed(1)

    def linear(inputs, outputs):
        if method == "sltrain":
            return SltrainLinear(inputs, outputs, rank, density)
        return nn.Linear(inputs, outputs, bias=False)

    with torch.device(device):
        model = Llama(d, f, heads, layers, vocab, seq, linear).to(torch.bfloat16 if device == "cuda" else torch.float32)
        tokens = torch.randint(vocab, (batch, seq + 1))
    if method == "galore":
        linears = {p for layer in model.layers for p in layer.parameters() if p.dim() == 2}
        optimizer = Galore(linears, [p for p in model.parameters() if p not in linears], rank)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0, fused=True)
    if method != "sltrain":
        for layer in model.layers:
            layer.compile()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        model(tokens[:, :-1], tokens[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    speed = f"{batch * seq / sorted(times)[len(times) // 2]:.0f}"
    print(f"{speed} {optimizer.refresh_seconds:.3g}" if method == "galore" else speed)


main()
