"""slt's random and block supports (lib/include/slt/support.h), written a second time from that definition."""

import hashlib
import struct
import zlib

MASK = 0xFFFFFFFF


def philox(key, index, lane):
    """Philox4x32-10 of the counter {index low, index high, lane low, lane high}."""
    c = [index & MASK, index >> 32, lane & MASK, lane >> 32]
    k = list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def key_of(tag, name, seed):
    digest = hashlib.sha256(tag + b"\0" + name + b"\0" + struct.pack("<Q", seed)).digest()
    return struct.unpack("<2I", digest[:8])


def draw(name, out, inn, density, seed, block=(1, 1)):
    """Flat positions, ascending."""
    key = key_of(b"slt-support-1", name.encode(), seed)
    rows, cols = out // block[0], inn // block[1]
    cells = int(density * float(rows * cols))
    count = [0] * rows
    n = accepted = 0
    while accepted < cells:
        w = philox(key, n // 2, 2**64 - 1)
        row, slot = (w[2 * (n % 2)] * rows) >> 32, (w[2 * (n % 2) + 1] * cols) >> 32
        if slot >= count[row]:
            count[row] += 1
            accepted += 1
        n += 1
    positions = []
    for row in range(rows):
        chosen, t = set(), 0
        while len(chosen) < count[row]:
            chosen.add((philox(key, t // 4, row)[t % 4] * cols) >> 32)
            t += 1
        for r in range(block[0]):
            for c in sorted(chosen):
                positions += [(row * block[0] + r) * inn + c * block[1] + k for k in range(block[1])]
    return positions


def crc(positions):
    return zlib.crc32(b"".join(struct.pack("<Q", p) for p in positions))


if __name__ == "__main__":
    # name out in density seed block nnz crc of a few supports, for tests/unit/test_support.c.
    for name, out, inn, density, seed, block in [
        ("model.layers.0.self_attn.q_proj", 64, 48, 0.03, 1, (1, 1)),
        ("model.layers.1.mlp.down_proj", 48, 85, 0.1, 2, (1, 1)),
        ("model.layers.3.mlp.up_proj", 33, 1000, 0.9, 12345678901, (1, 1)),
        ("wide", 3, 70000, 0.001, 7, (1, 1)),
        ("blocks", 37, 50, 0.2, 9, (4, 3)),
        ("rows", 64, 64, 0.25, 9, (16, 1)),
    ]:
        p = draw(name, out, inn, density, seed, block)
        print(name, out, inn, density, seed, f"{block[0]}x{block[1]}", len(p), f"{crc(p):08x}", *p[:4], p[-1])
