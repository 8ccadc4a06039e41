#!/usr/bin/env python3
"""Compares a checkpoint's GGUF files in llama.cpp with slt itself and with transformers: the ids of a text's lines, the text
that the most likely tokens give (f32), and the logits of the next token (f32, f16, q8_0; difference by its norm, relative).

usage: check_llamacpp.py MODEL.slt TOKENIZER TEXT
       (slt's programs on PATH; llama-cpp-python, built from its sdist, transformers and torch from PyPI)
"""
import os
import subprocess
import sys
import tempfile

import llama_cpp
import numpy
import torch
import transformers

from check_tokenizer import documents

MADE = 40  # tokens


def greedy(llama, ids):
    llama.reset()
    llama.eval(ids)
    out = []
    while len(out) < MADE:
        best = int(numpy.argmax(llama.scores[llama.n_tokens - 1]))
        if best == llama.token_eos():
            break
        out.append(best)
        llama.eval([best])
    return out


def last_logits(llama, ids):
    llama.reset()
    llama.eval(ids)
    return llama.scores[len(ids) - 1].astype(numpy.float64)


def main():
    model, tokenizer, text = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as d:
        tok = d + "/lines.tok"
        subprocess.run(["slt-tokenize", "-q", "--tokenizer", tokenizer, "--document", "line", "-o", tok, text], check=True)
        subprocess.run(["slt-convert", "--merge", "-o", d + "/hf", model], check=True)
        lines = [line for line in open(text, encoding="utf-8", newline="\n").read().split("\n") if line]
        wanted = [ids[:-1] for ids in documents(tok)[0]]
        reference = transformers.AutoModelForCausalLM.from_pretrained(d + "/hf", dtype=torch.float32).eval()
        prompts = [ids[:12] for ids in wanted if len(ids) >= 12][:8]
        for kind in ("f32", "f16", "q8_0"):
            path = f"{d}/{kind}.gguf"
            subprocess.run(["slt-convert", "--to", "gguf", "--dtype", kind, "-o", path, model], check=True)
            llama = llama_cpp.Llama(path, n_ctx=256, logits_all=True, verbose=False,
                                    type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)
            worst = 0.0
            for ids in prompts:
                with torch.no_grad():
                    want = reference(torch.tensor([ids])).logits[0, -1].double().numpy()
                got = last_logits(llama, ids)
                worst = max(worst, float(numpy.linalg.norm(got - want) / numpy.linalg.norm(want)))
            print(f"{kind}: next-token logits off by {worst:.2g} of their norm at most, {len(prompts)} prompts")
            if kind != "f32":
                continue
            other = [(line, ids) for line, ids in zip(lines, wanted)
                     if llama.tokenize(line.encode(), add_bos=False, special=False) != ids]
            print(f"{kind}: {len(lines)} lines, {len(other)} with other ids, {llama.n_vocab()} tokens, "
                  f"bos {llama.token_bos()} eos {llama.token_eos()}")
            for line, ids in other[:3]:
                print("differs:", repr(line[:60]), llama.tokenize(line.encode(), add_bos=False, special=False)[:12], ids[:12])
            same = 0
            for line, ids in [(a, b) for a, b in zip(lines, wanted) if 6 <= len(b) <= 60][:8]:
                out = subprocess.run(["slt-generate", "-q", "--temperature", "0", "--max-tokens", str(MADE), "--prompt", line,
                                      model], check=True, stdout=subprocess.PIPE).stdout
                made = greedy(llama, ids)
                prompt = torch.tensor([ids])
                theirs = reference.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=MADE,
                                            do_sample=False, pad_token_id=llama.token_eos())[0, len(ids):].tolist()
                theirs = [i for i in theirs if i != llama.token_eos()]
                back = subprocess.run(["slt-tokenize", "-q", "--tokenizer", tokenizer, "--decode", "-"], check=True,
                                      input=token_file(tok, ids + made), stdout=subprocess.PIPE).stdout
                equal = made == theirs and out.rstrip(b"\n") == back.rstrip(b"\n")
                same += equal
                if not equal:
                    print("differs:", repr(line[:60]), made == theirs, made, theirs, out[-60:], back[-60:])
            print(f"{kind}: {same} of 8 greedy texts of {MADE} tokens equal in slt-generate, llama.cpp and transformers")


def token_file(like, ids):
    """A token file of one document, in the width and with the header of another one."""
    import hashlib
    import struct
    head = open(like, "rb").read(64)
    width, _, eos, _ = struct.unpack_from("<4I", head, 12)
    data = head + numpy.array(ids + [eos], "<u2" if width == 2 else "<u4").tobytes()
    end = b"SLTEND\r\n" + struct.pack("<5Q", len(ids) + 1, 1, 0, len(data), 1) + bytes(16)
    data += struct.pack("<Q", 0)
    return data + end + hashlib.sha256(data + end).digest()


main()
