#!/usr/bin/env python3
"""Ids of tokenizer.json files as Hugging Face's tokenizers computes them, for tests/unit/test_tokenizer.c.

Trains two small tokenizers on this tree's README and licence, and writes tokenizer-bytes.json and tokenizer-spaces.json
(byte-level, and with byte fallback), unless they are there; then tokenizers.json: for each case the base it starts from,
the parts put in its place, and the number and SHA-256 of the ids of mixed.py's documents (32-bit little-endian, 2^32-1
behind each document). GPT-2's and RoBERTa's vocabularies are those of ../shared/data/tokenizers. Of SentencePiece models
the ids are spm_encode's, a document being a line.

usage: make_tokenizers.py [CASE]    (tokenizers 0.23 from PyPI, spm_encode 0.1.97; with CASE, prints its ids and writes nothing)
"""
import hashlib
import json
import os
import struct
import subprocess
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import mixed

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.join(HERE, "..", "..")
SHARED = os.environ.get("SLT_SHARED", os.path.join(TREE, "..", "shared")) + "/data/tokenizers/"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)"
          r"|\s+")


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(pattern, behaviour="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behaviour, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def added(first, *contents, **flags):
    out = []
    for i, content in enumerate(contents):
        token = {"id": first + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": True}
        out.append({**token, **flags})
    return out


ROBERTA_TOKENS = (added(0, "<s>", "<pad>", "</s>", "<unk>", normalized=True) + added(50264, "<mask>", lstrip=True))
ROBERTA_POST = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
                "add_prefix_space": False}
SMALL = 600
EXTRA = (added(SMALL, "<mask>", lstrip=True) + added(SMALL + 1, "</s>", rstrip=True) +
         added(SMALL + 2, "word", single_word=True, special=False) + added(SMALL + 3, "[word]", "[keep]", special=False) +
         added(SMALL + 5, "Å-token", "ﬁ", "  ", special=False, normalized=True))

SPACES_EXTRA = (added(1, "<s>", "</s>") + added(SMALL, "word", single_word=True, special=False) +
                added(SMALL + 1, "<mask>", lstrip=True) + added(SMALL + 2, "[word]", special=False, normalized=True))


def case(name, base, documents, root=None, model=None):
    return {"name": name, "base": base, "documents": documents, "root": root or {}, "model": model or {}}


def small(name, root=None, model=None, base="bytes"):
    return case(name, base, 40, root, model)


CASES = [
    case("gpt2", "gpt2", 200, {"added_tokens": added(50256, "<|endoftext|>")}),
    case("roberta", "roberta", 200, {"added_tokens": ROBERTA_TOKENS, "post_processor": ROBERTA_POST}),
    case("roberta-space", "roberta", 50, {"added_tokens": ROBERTA_TOKENS, "pre_tokenizer": byte_level(True)}),
    case("llama3", "gpt2", 200, {"added_tokens": added(50257, "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
                                 "pre_tokenizer": sequence(split(LLAMA3), byte_level(False, False))},
         {"ignore_merges": True}),
    case("qwen2", "gpt2", 100, {"added_tokens": added(50256, "<|endoftext|>"), "normalizer": {"type": "NFC"},
                                "pre_tokenizer": sequence(split(QWEN2), byte_level(False, False))}),
    case("gpt-4o", "gpt2", 50, {"pre_tokenizer": sequence(split(GPT4O), byte_level(False, False))}),
    case("cl100k", "gpt2", 50, {"pre_tokenizer": sequence(split(CL100K, "Removed", True), byte_level(False, False))}),
    case("starcoder", "gpt2", 50, {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True},
                                                             byte_level())}),
    case("torchtitan", "torchtitan", 50),
    case("t5", "t5/spiece.model", 100),
    case("llama", "llama/tokenizer.model", 100),
    small("plain"),
    small("prefix", {"pre_tokenizer": byte_level(True)}),
    small("no-split", {"pre_tokenizer": byte_level(False, False)}),
    small("ignore-merges", None, {"ignore_merges": True, "merges": []}),  # with all merges it changes no ids
    small("added", {"added_tokens": EXTRA}),
    small("added-nfc", {"added_tokens": EXTRA, "normalizer": {"type": "NFC"}}),
    small("nfd", {"normalizer": {"type": "NFD"}}),
    small("nfkc", {"added_tokens": EXTRA, "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}]}}),
    small("nfkd", {"normalizer": {"type": "NFKD"}}),
    small("replace", {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "aa"}, "content": "b\u00e9"}, {"type": "Prepend", "prepend": "> "}]}}),
    small("replace-twice", {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "bb"}, {"type": "NFC"},
        {"type": "Replace", "pattern": {"String": "b"}, "content": "th"}]}}),
    small("digits", {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, byte_level(True))}),
    small("words", {"pre_tokenizer": sequence(split(r"\w+|\b\W", "Isolated"), byte_level(True))}),
    small("empty-matches", {"pre_tokenizer": sequence(split(r"(?=\d)|\s*"), byte_level(False, False))}),
    small("lines", {"pre_tokenizer": sequence(split(r"^\s+|[^\n]$"), byte_level(False, False))}),
    small("thousands", {"pre_tokenizer": sequence(split(r"\d{1,3}(?=(?:\d{3})*\b)"), byte_level(False, False))}),
] + [
    small(f"{behaviour}{'-not' if invert else ''}-{i}",
          {"pre_tokenizer": sequence(split(pattern, behaviour, invert, kind), byte_level(False, False))})
    for behaviour in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")
    for invert in (False, True)
    for i, (kind, pattern) in enumerate([("String", " "), ("Regex", r"[\s.]"), ("Regex", r"(?=e)|[aeiou]")])
] + [
    small("unknown", {"added_tokens": [], "pre_tokenizer": byte_level(True)}, {"unk_token": "Ġto", "vocab_without": "abcdeé"}),
    small("unknown-fused", {"added_tokens": []}, {"unk_token": "Ġto", "fuse_unk": True, "vocab_without": "abcdeé"}),
    small("unknown-dropped", {"added_tokens": []}, {"vocab_without": "abcdeé"}),
    small("spaces", None, None, "spaces"),
    small("spaces-added", {"added_tokens": SPACES_EXTRA}, None, "spaces"),
    small("metaspace", {"normalizer": None, "pre_tokenizer": {
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}}, None, "spaces"),
    small("metaspace-first", {"added_tokens": SPACES_EXTRA, "normalizer": None, "pre_tokenizer": {
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}}, None, "spaces"),
    small("metaspace-never", {"normalizer": {"type": "NFC"}, "pre_tokenizer": {
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}}, None, "spaces"),
]


def train():
    files = [os.path.join(TREE, "README.md"), os.path.join(TREE, "LICENSE")]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train(files, trainers.BpeTrainer(vocab_size=SMALL, special_tokens=["<|endoftext|>"], show_progress=False,
                                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(os.path.join(HERE, "tokenizer-bytes.json"))
    # Merges as strings, as older files have them, in the second one.
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    tokenizer.train(files, trainers.BpeTrainer(vocab_size=SMALL, special_tokens=special, show_progress=False))
    root = json.loads(tokenizer.to_str())
    root["added_tokens"] = root["added_tokens"][:3]
    root["model"]["merges"] = [" ".join(pair) for pair in root["model"]["merges"]]
    with open(os.path.join(HERE, "tokenizer-spaces.json"), "w", encoding="utf-8") as f:
        json.dump(root, f, ensure_ascii=False, indent=1)
        f.write("\n")


def base(name):
    if name in ("bytes", "spaces"):
        return json.load(open(os.path.join(HERE, f"tokenizer-{name}.json"), encoding="utf-8"))
    if name == "torchtitan":
        return json.load(open(SHARED + "bpe_test/torchtitan_tokenizer.json", encoding="utf-8"))
    vocab = json.load(open(SHARED + name + "/vocab.json", encoding="utf-8"))
    merges = open(SHARED + "gpt2/merges.txt", encoding="utf-8").read().split("\n")[1:]
    return {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": byte_level(), "post_processor": None,
            "decoder": byte_level(),
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": False, "vocab": vocab,
                      "merges": [line for line in merges if line]}}


def tokenizer_of(c):
    root = {**base(c["base"]), **c["root"]}
    change = dict(c["model"])
    without = change.pop("vocab_without", "")
    root["model"] = {**root["model"], **change}
    if without:  # pieces with these characters, and their merges, are taken out
        root["model"]["vocab"] = {k: v for k, v in root["model"]["vocab"].items() if not set(without) & set(k)}
        root["model"]["merges"] = [m for m in root["model"]["merges"] if not set(without) & set("".join(m))]
    return Tokenizer.from_str(json.dumps(root))


def encode(c, texts):
    """Pairs of a text and its ids."""
    if c["base"].endswith(".model"):
        texts = [line for text in texts for line in text.split("\n") if line]
        out = subprocess.run(["spm_encode", "--model=" + SHARED + c["base"], "--output_format=id"], check=True,
                             input="\n".join(texts).encode() + b"\n", stdout=subprocess.PIPE).stdout
        return list(zip(texts, ([int(i) for i in line.split()] for line in out.decode().split("\n"))))
    tokenizer = tokenizer_of(c)
    return [(text, tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def main():
    known = mixed.fragments()
    if not os.path.exists(os.path.join(HERE, "tokenizer-bytes.json")):
        train()
    for c in CASES:
        if len(sys.argv) > 1 and c["name"] != sys.argv[1]:
            continue
        digest, count, size = hashlib.sha256(), 0, 0
        for text, ids in encode(c, [mixed.document(i, 1500, known) for i in range(c["documents"])]):
            if len(sys.argv) > 1:
                print(*ids)
            size += len(text.encode())
            count += len(ids)
            digest.update(struct.pack(f"<{len(ids) + 1}I", *ids, 0xFFFFFFFF))
        c["bytes"], c["ids"], c["sha256"] = size, count, digest.hexdigest()
    if len(sys.argv) == 1:
        with open(os.path.join(HERE, "tokenizers.json"), "w", encoding="utf-8") as f:
            f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in CASES) + "\n]\n")


main()
