#!/usr/bin/env python3
"""Reads a GGUF file with the gguf package and compares its tensors with the safetensors of the same model in a Hugging
Face directory: F32 must be equal, other types near; and its tokenizer with a byte-level tokenizer.json there: pieces,
their types, merges and special ids; and divisors of rotary frequencies with transformers'. Prints what it compared.

usage: check_gguf.py MODEL.gguf HF_DIRECTORY [LIMIT]    (gguf, numpy, safetensors and transformers from PyPI)
"""
import json
import os
import sys

import numpy
from gguf import GGUFReader, TokenType, dequantize
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


def check_tokenizer(fields, directory, config):
    """The keys of a byte-level tokenizer; returns what it found."""
    root = json.load(open(directory + "/tokenizer.json", encoding="utf-8"))
    value = {k.removeprefix("tokenizer.ggml."): f.contents() for k, f in fields.items() if k.startswith("tokenizer.")}
    pieces = {i: text for text, i in root["model"]["vocab"].items()}
    types = dict.fromkeys(pieces, TokenType.NORMAL)
    for token in root["added_tokens"]:
        pieces[token["id"]] = token["content"]
        types[token["id"]] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    count = max(config["vocab_size"], max(pieces) + 1)
    assert value["model"] == "gpt2"
    assert value["tokens"] == [pieces.get(i, f"[PAD{i}]") for i in range(count)]
    assert len(set(value["tokens"])) == count
    assert value["token_type"] == [types.get(i, TokenType.UNUSED) for i in range(count)]
    assert value["merges"] == [m if isinstance(m, str) else " ".join(m) for m in root["model"]["merges"]]
    for key, name in (("bos", "bos"), ("eos", "eos"), ("padding", "pad")):
        assert value.get(f"{key}_token_id") == config.get(f"{name}_token_id"), key
    return f"tokenizer as in tokenizer.json, split as {value['pre']}, {len(value['merges'])} merges"


def check_rope(data, config):
    """The divisors of the frequencies, against what transformers makes of config.json."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    scaled = LlamaRotaryEmbedding(LlamaConfig(**config)).inv_freq.numpy()
    plain = {k: v for k, v in config.items() if k != "rope_scaling"}
    want = LlamaRotaryEmbedding(LlamaConfig(**plain)).inv_freq.numpy() / scaled
    assert data.shape == want.shape and numpy.allclose(data, want, rtol=1e-5, atol=0), (data, want)


def main():
    reader = GGUFReader(sys.argv[1])
    weights = load_file(sys.argv[2] + "/model.safetensors")
    config = json.load(open(sys.argv[2] + "/config.json"))
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    worst = 0.0
    for t in reader.tensors:
        if t.name == "rope_freqs.weight":
            check_rope(t.data, config)
            continue
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
    if os.path.exists(sys.argv[2] + "/tokenizer.json"):
        print(check_tokenizer(reader.fields, sys.argv[2], config))


main()
