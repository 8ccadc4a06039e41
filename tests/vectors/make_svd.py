#!/usr/bin/env python3
"""Singular values by NumPy in float64 of float32 matrices that a test can make itself: element i * cols + j is that of
hashed.py for the seed; of rank r where it is given, a product of two such matrices that is rounded to float32.

usage: make_svd.py OUTPUT.safetensors    (numpy and safetensors from PyPI)
"""
import sys

import numpy
from safetensors.numpy import save_file

from hashed import gradients

SHAPES = [(40, 24, 0), (24, 40, 0), (1, 17, 0), (17, 1, 0), (64, 64, 0), (33, 48, 5)]


def matrix(seed, m, n):
    return gradients(seed, m * n).reshape(m, n)


def main():
    values = {}
    for seed, (m, n, r) in enumerate(SHAPES):
        a = matrix(seed, m, n)
        if r > 0:
            a = (matrix(seed, m, r).astype(numpy.float64) @ matrix(seed + 100, r, n).astype(numpy.float64)).astype("f4")
        values[f"{m}x{n}x{r}"] = numpy.linalg.svd(a.astype(numpy.float64), compute_uv=False)
    save_file(values, sys.argv[1], metadata={"numpy": numpy.__version__})


main()
