#!/usr/bin/env python3
"""Compares the greedy text of transformers, from the directory that slt-convert writes and its AutoTokenizer, with that of
slt-generate, for the first words of some lines of a text.

usage: check_generate.py MODEL.slt TEXT    (slt's programs on PATH; transformers and torch from PyPI)
"""
import subprocess
import sys
import tempfile

import torch
import transformers

MADE, PROMPTS = 40, 8


def main():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["slt-convert", "--merge", "-o", d + "/hf", sys.argv[1]], check=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(d + "/hf")
        model = transformers.AutoModelForCausalLM.from_pretrained(d + "/hf", dtype=torch.float32)
        same, lines = 0, [line for line in open(sys.argv[2], encoding="utf-8").read().split("\n") if len(line) > 40]
        for line in lines[:PROMPTS]:
            prompt = " ".join(line.split()[:3])
            inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
            made = model.generate(**inputs, max_new_tokens=MADE, do_sample=False)[0]
            theirs = tokenizer.decode(made, skip_special_tokens=True) + "\n"
            ours = subprocess.run(["slt-generate", "-q", "--temperature", "0", "--max-tokens", str(MADE), "--prompt", prompt,
                                   sys.argv[1]], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8", "replace")
            same += ours == theirs
            if ours != theirs:
                print("differs:", repr(ours), repr(theirs))
        print(f"transformers {transformers.__version__}: {same} of {PROMPTS} texts of {MADE} tokens equal")


main()
