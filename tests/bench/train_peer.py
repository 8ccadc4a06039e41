#!/usr/bin/env python3
"""Training speed of the same models in PyTorch, for tests/bench/gpu: tokens per second of the median step.

usage: train_peer.py METHOD HIDDEN INTERMEDIATE HEADS LAYERS VOCAB RANK DENSITY BATCH SEQ STEPS [DEVICE]

METHOD full: a LLaMA of nn.Linear layers, compiled, scaled_dot_product_attention, AdamW (fused), in bfloat16; on a CPU in
float32.
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
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0, fused=True)
    run = torch.compile(model) if method == "full" else model
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        run(tokens[:, :-1], tokens[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    print(f"{batch * seq / sorted(times)[len(times) // 2]:.0f}")


main()
