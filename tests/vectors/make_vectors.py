"""Reference values for tests/unit/test_vectors.c, from PyTorch and Hugging Face transformers.

Run once, from this folder:  python make_vectors.py [CASE ...]
Made with the versions that README.md names. Every case is a small LlamaForCausalLM whose linears are replaced by the
method's layer, W = (alpha/r) B A + S as the authors' SLTrain layer computes it (dense W, then x W^T). Weights come from
a seeded generator. Everything is computed in float64 and stored rounded to float32, so that what a test measures is
slt's own float32 error.
"""

import json
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

import support

STEPS = 20
LINEARS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

# name: sizes, method, optimizer
CASES = {
    "full": dict(vocab=101, d=48, f=85, layers=2, heads=3, kv=3, B=2, L=19, method="full", wd=0.0, clip=0.0),
    "full-clip-decay": dict(vocab=101, d=48, f=85, layers=1, heads=3, kv=3, B=2, L=7, method="full", wd=0.1, clip=0.5),
    "grouped-tied": dict(vocab=67, d=32, f=61, layers=2, heads=4, kv=2, B=3, L=17, method="full", wd=0.0, clip=1.0,
                         tied=True),
    "lowrank": dict(vocab=101, d=48, f=85, layers=2, heads=3, kv=3, B=2, L=19, method="lowrank", wd=0.0, clip=0.0,
                    rank=7, alpha=8.0),
    "sltrain": dict(vocab=101, d=48, f=85, layers=2, heads=3, kv=3, B=2, L=19, method="sltrain", wd=0.0, clip=0.0,
                    rank=7, alpha=8.0, density=0.05, seed=11),
    "sltrain-odd": dict(vocab=53, d=64, f=341, layers=1, heads=2, kv=2, B=1, L=33, method="sltrain", wd=0.0, clip=1.0,
                        rank=5, alpha=16.0, density=0.03, seed=4),
    # Restarts after 7 and 14 updates, where moments up to the quantile .9 of their magnitudes are zeroed. Where the
    # second moment is and the first is not, steps are as large as 1/eps: 1e-8 would make the values chaotic.
    "relora": dict(vocab=101, d=48, f=85, layers=1, heads=3, kv=3, B=2, L=19, method="relora", wd=0.0, clip=0.0,
                   rank=7, alpha=8.0, every=7, eps=1e-2),
    # Wavelengths from 6.3 up to 20,000 positions: with the length 64, the factors 1 and 4 leave one of the eight
    # frequencies of a head as it is, divide five, and mix two.
    "rope-llama3": dict(vocab=41, d=32, f=40, layers=1, heads=2, kv=1, B=2, L=40, method="full", wd=0.0, clip=0.0,
                        rope={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                              "original_max_position_embeddings": 64}),
    "rope-linear": dict(vocab=41, d=32, f=40, layers=1, heads=2, kv=1, B=2, L=40, method="full", wd=0.0, clip=0.0,
                        rope={"rope_type": "linear", "factor": 2.5}),
}


class Factored(torch.nn.Module):
    """The authors' layer: W = scale * B A, plus sparse values added at fixed positions, then x W^T."""

    def __init__(self, name, out, inn, case):
        super().__init__()
        self.scale = case["alpha"] / case["rank"]
        self.shape = (out, inn)
        self.lora_A = torch.nn.Parameter(torch.empty(case["rank"], inn))
        self.lora_B = torch.nn.Parameter(torch.empty(out, case["rank"]))
        self.index = None
        if case["method"] == "relora":
            self.weight = torch.nn.Parameter(torch.empty(out, inn), requires_grad=False)
        if case["method"] == "sltrain":
            self.index = torch.tensor(support.draw(name, out, inn, case["density"], case["seed"]))
            self.sparse_value = torch.nn.Parameter(torch.empty(len(self.index)))

    def forward(self, x):
        w = self.scale * self.lora_B @ self.lora_A
        if hasattr(self, "weight"):
            w = w + self.weight
        if self.index is not None:
            w = w.flatten().scatter_add(0, self.index, self.sparse_value).view(self.shape)
        return torch.nn.functional.linear(x, w)


def build(case, generator):
    config = LlamaConfig(
        vocab_size=case["vocab"], hidden_size=case["d"], intermediate_size=case["f"], num_hidden_layers=case["layers"],
        num_attention_heads=case["heads"], num_key_value_heads=case["kv"], max_position_embeddings=64,
        rms_norm_eps=1e-6, tie_word_embeddings=case.get("tied", False), attn_implementation="eager",
        pad_token_id=None, bos_token_id=None, eos_token_id=None,
        **({"rope_theta": 10000.0, "rope_scaling": dict(case["rope"])} if "rope" in case else {}))
    model = LlamaForCausalLM(config).double()
    if case["method"] != "full":
        for name, module in list(model.named_modules()):
            if name.split(".")[-1] in LINEARS:
                parent = model.get_submodule(name.rsplit(".", 1)[0])
                setattr(parent, name.split(".")[-1],
                        Factored(name, module.out_features, module.in_features, case).double())
    with torch.no_grad():
        for name, p in model.named_parameters():
            # Values that float32 holds exactly, of a size at which 20 steps are well conditioned.
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            base = 1.0 if "norm" in name else 0.0
            size = 0.1
            p.copy_((base + size * noise).double())
    return model


def restart(model, optimizer, updates):
    """ReLoRA's merge, with the new A that slt draws."""
    with torch.no_grad():
        for name, layer in model.named_modules():
            if not isinstance(layer, Factored):
                continue
            layer.weight += layer.scale * layer.lora_B @ layer.lora_A
            key = support.key_of(b"slt-relora-1", f"{name}.lora_A restart {updates}".encode(), 0)
            count, inn = layer.lora_A.numel(), layer.lora_A.shape[1]
            words = [w for i in range((count + 3) // 4) for w in support.philox(key, i, 0)][:count]
            unit = torch.tensor([w >> 8 for w in words], dtype=torch.float32) * 2.0**-24
            bound = torch.tensor(1 / inn**0.5, dtype=torch.float32)
            layer.lora_A.copy_(((2 * unit - 1) * bound).view_as(layer.lora_A).double())
            layer.lora_B.zero_()
            for p in (layer.lora_A, layer.lora_B):
                for moment in ("exp_avg", "exp_avg_sq"):
                    x = optimizer.state[p][moment]
                    x.mul_(x.abs() > torch.quantile(x.abs().flatten().float(), 0.9).double())


def losses_of(model, case, tokens, targets):
    logits = model(input_ids=tokens).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    return logits, loss


def make(name, case):
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    model = build(case, generator)
    shape = (STEPS, case["B"], case["L"])
    tokens = torch.randint(0, case["vocab"], shape, generator=generator)
    targets = torch.randint(0, case["vocab"], shape, generator=generator)
    targets[:, 0, 3] = -1
    out = {"tokens": tokens.int(), "targets": targets.int()}
    for key, p in model.named_parameters():
        out["weight/" + key] = p.detach().float().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.999), eps=case.get("eps", 1e-8),
                                  weight_decay=case["wd"])
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits, loss = losses_of(model, case, tokens[step], targets[step])
        loss.backward()
        if step == 0:
            out["logits"] = logits.detach().float()
            for key, p in model.named_parameters():
                if p.requires_grad:
                    out["grad/" + key] = p.grad.float().clone()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), case["clip"] if case["clip"] > 0 else float("inf"))
        losses.append(loss.item())
        norms.append(norm.item())
        optimizer.step()
        if case["method"] == "relora" and (step + 1) % case["every"] == 0:
            restart(model, optimizer, step + 1)
    out["losses"] = torch.tensor(losses, dtype=torch.float64)
    out["norms"] = torch.tensor(norms, dtype=torch.float64)
    slt = {"method": case["method"], "seed": case.get("seed", 0)}
    if case["method"] != "full":
        slt |= {"rank": case["rank"], "alpha": case["alpha"]}
    if case["method"] == "sltrain":
        # test_vectors.c computes the check itself: a wrong support shows in the logits.
        slt |= {"density": case["density"], "support": "random", "support_scheme": "slt-support-1", "support_crc32": 0}
    config = {
        "vocab_size": case["vocab"], "hidden_size": case["d"], "intermediate_size": case["f"],
        "num_hidden_layers": case["layers"], "num_attention_heads": case["heads"], "num_key_value_heads": case["kv"],
        "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": case.get("tied", False), "slt": slt,
        "test": {"batch": case["B"], "seq": case["L"], "lr": 3e-3, "weight_decay": case["wd"], "clip": case["clip"],
                 "eps": case.get("eps", 1e-8), "relora_every": case.get("every", 0)}}
    if "rope" in case:
        config["rope_scaling"] = case["rope"]
    save_file({k: v.contiguous() for k, v in out.items()}, name + ".safetensors")
    with open(name + ".json", "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    # How far float32 in PyTorch itself is from these values.
    single = model_in_single(case, out)
    logits, loss = losses_of(single, case, tokens[0], targets[0])
    loss.backward()
    worst = max(float((p.grad - out["grad/" + k]).norm() / out["grad/" + k].norm()) for k, p in single.named_parameters() if p.requires_grad)
    print(f"{name}: loss {losses[0]:.6f} -> {losses[-1]:.6f}; float32 PyTorch: logits off by at most "
          f"{float((logits - out['logits']).abs().max()):.1e}, gradients by {worst:.1e} of their norm")


def model_in_single(case, values):
    model = build(case, torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(values["weight/" + key])
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for case_name in sys.argv[1:] or CASES:
        make(case_name, CASES[case_name])
