#!/usr/bin/env python3
"""Reads a GGUF file with the gguf package and compares its tensors with the safetensors of the same model in a Hugging
Face directory: F32 must be equal, other types near. Prints what it compared.

usage: check_gguf.py MODEL.gguf HF_DIRECTORY [LIMIT]    (gguf, numpy and safetensors from PyPI)
"""
import json
import sys

import numpy
from gguf import GGUFReader, dequantize
from safetensors.numpy import load_file

NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
       "output.weight": "lm_head.weight"}


def hf_name(name):
    if name in TOP:
        return TOP[name]
    _, layer, kind, _ = name.split(".")
    return f"model.layers.{layer}.{NAMES[kind]}.weight"


def main():
    reader = GGUFReader(sys.argv[1])
    weights = load_file(sys.argv[2] + "/model.safetensors")
    config = json.load(open(sys.argv[2] + "/config.json"))
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    worst = 0.0
    for t in reader.tensors:
        want = weights.pop(hf_name(t.name)).astype(numpy.float32)
        got = dequantize(t.data, t.tensor_type).reshape(want.shape)
        kind = t.name.split(".")[-2]
        if kind in ("attn_q", "attn_k"):  # back from neighbours to halves, as convert_hf_to_gguf.py's permute goes there
            heads = config["num_attention_heads"] if kind == "attn_q" else config["num_key_value_heads"]
            rows, cols = want.shape
            got = got.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)
        worst = max(worst, float(numpy.linalg.norm(got - want) / numpy.linalg.norm(want)))
    assert not weights, f"missing: {sorted(weights)}"
    assert worst <= limit, worst
    fields = {k: v.contents() for k, v in reader.fields.items() if k.startswith(("general", "llama"))}
    tokens = reader.fields.get("tokenizer.ggml.tokens")
    print(f"{len(reader.tensors)} tensors, worst relative difference {worst:.3g}, "
          f"{len(tokens.data) if tokens else 0} tokens, {fields}")


main()
