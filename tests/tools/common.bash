# What the tests of the tools share. BIN is the folder of the programs; every test runs in an empty folder of its own.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=$(cd "$ROOT" && cd "${BUILD:-build}" && pwd)
SLT_SHARED=${SLT_SHARED:-$ROOT/../shared}
PATH=$BIN:$PATH

# Skips the test unless this file of the shared data is there.
need_shared() {
    [ -e "$SLT_SHARED/$1" ] || skip "no $1 under SLT_SHARED"
}

# Some ordinary text: this tree's own sources and pages.
make_text() {
    cat "$ROOT"/lib/model/*.c "$ROOT"/lib/train/*.c "$ROOT"/lib/include/slt/*.h >"$1"
}

# A tokenizer and token files of that text, and a tiny configuration: spm.model, train.tok, valid.tok, tiny.json.
make_small_data() {
    make_text text
    slt-tokenize --train-tokenizer spm.model --vocab-size 512 --document blank --valid-output valid.tok \
        --valid-fraction 0.1 -o train.tok text
    printf '%s\n' '{"vocab_size": 512, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,' \
        '"num_attention_heads": 2, "rms_norm_eps": 1e-6}' >tiny.json
}

# The value of NAME in a report of name<TAB>value lines on stdin.
value_of() {
    awk -F '\t' -v name="$1" '$1 == name { print $2 }'
}
