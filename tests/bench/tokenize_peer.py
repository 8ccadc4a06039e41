#!/usr/bin/env python3
"""Hugging Face's tokenizers beside slt-tokenize, for tests/bench/tokenize (tokenizers from PyPI).

usage: tokenize_peer.py train TEXT VOCABULARY OUTPUT    a byte-level tokenizer.json with GPT-2's way of splitting
       tokenize_peer.py encode TOKENIZER TEXT THREADS   seconds of encode_batch for the lines of TEXT, and the number of ids

Only encode_batch is timed, without the start of Python, reading and writing.
"""
import os
import sys
import time


def train(text, vocabulary, output):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train([text], trainers.BpeTrainer(vocab_size=int(vocabulary), special_tokens=["<|endoftext|>"],
                                                show_progress=False,
                                                initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(output)


def encode(name, text, threads):
    os.environ["RAYON_NUM_THREADS"] = threads
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if int(threads) > 1 else "false"
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(name)
    with open(text, encoding="utf-8", newline="\n") as f:
        lines = [line for line in f.read().split("\n") if line]
    start = time.perf_counter()
    encoded = tokenizer.encode_batch(lines, add_special_tokens=False)
    print(f"{time.perf_counter() - start:.6f} {sum(len(e.ids) for e in encoded)}")


{"train": train, "encode": encode}[sys.argv[1]](*sys.argv[2:])
