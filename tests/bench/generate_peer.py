#!/usr/bin/env python3
"""llama.cpp beside slt-generate, for tests/bench/generate (llama-cpp-python, built from its sdist): tokens/s of one token
after the other, without the choice among logits.

usage: generate_peer.py MODEL.gguf TOKENS THREADS
"""
import sys
import time

import llama_cpp


def main():
    path, tokens, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    llama = llama_cpp.Llama(path, n_ctx=tokens + 16, n_threads=threads, n_threads_batch=threads, verbose=False)
    llama.eval([5, 6, 7, 8])
    start = time.perf_counter()
    for i in range(tokens):
        llama.eval([10 + i])
    print(tokens / (time.perf_counter() - start))


main()
