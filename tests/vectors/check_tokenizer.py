#!/usr/bin/env python3
"""Compares the ids that AutoTokenizer of transformers gives the lines of a text, from a directory that slt-convert wrote,
with those of slt-tokenize --document line, and the ids of BOS, EOS and PAD with those of config.json.

usage: check_tokenizer.py HF_DIRECTORY TEXT TOKENS.tok    (transformers from PyPI)
"""
import json
import struct
import sys

import numpy
import transformers


def documents(path):
    """The documents of a token file, without EOS."""
    data = open(path, "rb").read()
    width, vocab, eos, _ = struct.unpack_from("<4I", data, 12)
    count, = struct.unpack_from("<Q", data, len(data) - 96 + 8)
    tokens = numpy.frombuffer(data, "<u2" if width == 2 else "<u4", count, 64).astype(numpy.int64)
    ends = numpy.flatnonzero(tokens == eos)
    return [part.tolist() for part in numpy.split(tokens, ends + 1)[:-1]], eos


def main():
    directory = sys.argv[1]
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    named = json.load(open(directory + "/tokenizer_config.json"))
    wanted, eos = documents(sys.argv[3])
    lines = [line for line in open(sys.argv[2], encoding="utf-8", newline="\n").read().split("\n") if line]
    assert len(lines) == len(wanted), (len(lines), len(wanted))
    other = around = 0
    for line, ids in zip(lines, wanted):
        ids = ids[:-1]
        got = tokenizer.encode(line, add_special_tokens=False)
        if got != ids:
            other += 1
            if other < 4:
                at = next((i for i, (a, b) in enumerate(zip(got, ids)) if a != b), min(len(got), len(ids)))
                print("differs:", repr(line[:80]), at, got[at - 2:at + 6], ids[at - 2:at + 6],
                      tokenizer.convert_ids_to_tokens(got[at - 2:at + 6]), tokenizer.convert_ids_to_tokens(ids[at - 2:at + 6]))
        before = [tokenizer.bos_token_id] if named["add_bos_token"] else []
        behind = [tokenizer.eos_token_id] if named["add_eos_token"] else []
        around += tokenizer.encode(line) != before + got + behind
    config = json.load(open(directory + "/config.json"))
    first = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    print(f"transformers {transformers.__version__} {type(tokenizer).__name__}: {len(lines)} lines, {other} with other ids, "
          f"{around} with other tokens around, {len(tokenizer)} tokens, bos {tokenizer.bos_token_id}/{config['bos_token_id']} "
          f"eos {tokenizer.eos_token_id}/{first} pad {tokenizer.pad_token_id}/{config['pad_token_id']}, "
          f"model_max_length {tokenizer.model_max_length}")
    sys.exit(other + around > 0)


if __name__ == "__main__":
    main()
