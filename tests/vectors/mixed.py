"""Text that a test can make itself (tests/unit/mixed.h does, from the same mixed.txt): words, code, accents, emoji, CJK,
control bytes, runs of white space, numbers, contractions and the texts of added tokens, in an order drawn by a hash."""
import os

MASK = (1 << 64) - 1
# Blocks of which characters are drawn, first and last.
BLOCKS = [(0xA1, 0xFF), (0x100, 0x17F), (0x391, 0x3A1), (0x430, 0x44F), (0x5D0, 0x5EA), (0x627, 0x63A), (0x905, 0x914),
          (0xE01, 0xE3A), (0x4E00, 0x9FA5), (0x3041, 0x3096), (0xAC00, 0xD7A3), (0x1F600, 0x1F64F), (0x1, 0x1F),
          (0x2200, 0x22FF), (0x300, 0x36F), (0x1100, 0x1112)]
SPACES = [" ", " ", " ", "\t", "\n", "\r\n", "\u00a0", "\u3000"]


def fragments():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mixed.txt"), encoding="utf-8") as f:
        return [line.rstrip("\n") for line in f]


def draw(seed, i):
    x = (seed * 0x9E3779B97F4A7C15 + (i + 1) * 0xBF58476D1CE4E5B9) & MASK
    for _ in range(2):
        x = ((x ^ (x >> 30)) * 0x94D049BB133111EB) & MASK
        x ^= x >> 31
    return x


def document(seed, pieces, known):
    """One text of so many pieces."""
    out = []
    for i in range(pieces):
        h = draw(seed, i)
        kind, h = h % 16, h >> 4
        count, h = h % 12 + 1, h >> 4
        if kind < 8:
            out.append(known[h % len(known)])
        elif kind < 10:  # a word of letters
            upper = h & 3
            for j in range(count):
                letter = chr(97 + draw(seed + j + 1, i) % 26)
                out.append(letter.upper() if upper == 0 or (upper == 1 and j == 0) else letter)
        elif kind == 10:
            out.extend(chr(48 + draw(seed + j + 1, i) % 10) for j in range(count))
        elif kind == 11:
            out.append(SPACES[h % len(SPACES)] * (2 * count))
        elif kind < 14:
            first, last = BLOCKS[h % len(BLOCKS)]
            out.extend(chr(first + draw(seed + j + 1, i) % (last - first + 1)) for j in range(count % 6 + 1))
        if h >> 20 & 3:
            out.append(" ")
    return "".join(out)
