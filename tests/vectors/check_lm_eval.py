#!/usr/bin/env python3
"""Compares lm-eval's log-likelihood of the lines of a text (model "hf", the empty context, so that a line stands behind BOS or
EOS) from a directory that slt-convert writes with what slt-eval says of a token file with that line alone.

usage: check_lm_eval.py MODEL.slt TOKENIZER TEXT [LINES]    (slt's programs on PATH; lm-eval, transformers, torch from PyPI)
"""
import hashlib
import json
import struct
import subprocess
import sys
import tempfile

import lm_eval
import numpy
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from check_tokenizer import documents


def token_file(path, like, ids):
    """A token file of one document that no EOS ends, so that only the given ids are in it."""
    head = bytearray(open(like, "rb").read(64))
    width, = struct.unpack_from("<I", head, 12)
    struct.pack_into("<I", head, 20, 0xFFFFFFFF)
    data = bytes(head) + numpy.array(ids, "<u2" if width == 2 else "<u4").tobytes()
    end = b"SLTEND\r\n" + struct.pack("<5Q", len(ids), 1, 0, len(data), 0) + bytes(16)
    open(path, "wb").write(data + end + hashlib.sha256(data + end).digest())


def main():
    model, tokenizer, text = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["slt-tokenize", "-q", "--tokenizer", tokenizer, "--document", "line", "-o", d + "/all.tok", text],
                       check=True)
        subprocess.run(["slt-convert", "--merge", "-o", d + "/hf", model], check=True)
        lines = [line for line in open(text, encoding="utf-8", newline="\n").read().split("\n") if line]
        wanted = [ids[:-1] for ids in documents(d + "/all.tok")[0]]
        chosen = [(line, ids) for line, ids in zip(lines, wanted) if 2 <= len(ids) < 250][:count]
        lm = HFLM(pretrained=d + "/hf", dtype="float32", device="cpu", batch_size=8)
        requests = [Instance("loglikelihood", {}, ("", line), i) for i, (line, _) in enumerate(chosen)]
        theirs = [value for value, _ in lm.loglikelihood(requests, disable_tqdm=True)]
        worst = 0.0
        for (line, ids), want in zip(chosen, theirs):
            token_file(d + "/one.tok", d + "/all.tok", [lm.prefix_token_id] + ids)
            out = subprocess.run(["slt-eval", "-q", "--json", "--seq", "256", "--data", d + "/one.tok", model], check=True,
                                 stdout=subprocess.PIPE).stdout
            r = json.loads(out)
            assert r["tokens"] == len(ids), (r["tokens"], len(ids))
            worst = max(worst, abs(-r["loss"] * r["tokens"] - want) / abs(want))
        print(f"lm-eval {lm_eval.__version__}: log-likelihood of {len(chosen)} lines, {sum(theirs):.4f} in all, "
              f"off by {worst:.2g} at most (relative)")
        sys.exit(worst > 1e-4)


main()
