#!/usr/bin/env python3
"""Loads an exported Hugging Face directory in transformers and prints its mean loss on packed windows of a token file, as
slt-eval counts it: every token of the file but the first predicted once, in windows of SEQ.

usage: check_hf.py HF_DIRECTORY TOKENS.tok SEQ    (torch and transformers from PyPI)
"""
import struct
import sys

import numpy
import torch
from transformers import AutoModelForCausalLM


def main():
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    data, seq = open(sys.argv[2], "rb").read(), int(sys.argv[3])
    width, = struct.unpack_from("<I", data, 12)
    end = len(data) - 96
    tokens_count, = struct.unpack_from("<Q", data, end + 8)
    tokens = numpy.frombuffer(data, "<u2" if width == 2 else "<u4", tokens_count, 64).astype(numpy.int64)
    total = count = 0
    with torch.no_grad():
        for at in range(0, len(tokens) - 1, seq):
            window = torch.from_numpy(tokens[at:at + seq + 1])
            logits = model(window[None, :-1]).logits[0].double()
            total += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
            count += len(window) - 1
    print(f"loss\t{total / count:.9f}\ntokens\t{count}")


main()
