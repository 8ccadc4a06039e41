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

# PATTERN FILE: waits until a line of the file matches.
wait_for() {
    local i
    for ((i = 0; i < 12000; i++)); do
        ! grep -q "$1" "$2" 2>/dev/null || return 0
        sleep 0.01
    done
    return 1
}

# Of each tensor of the model in a checkpoint, unpacked as DIR/model.safetensors: name, first byte in that file, bytes.
places() {
    mkdir -p "$2"
    tar -xf "$1" -C "$2"
    local file=$2/model.safetensors size
    size=$(od -An -t u8 -N 8 "$file" | tr -d ' ')
    tail -c +9 "$file" | head -c "$size" | grep -o '"[^"]*":{"dtype[^}]*}' |
        sed -E 's/"([^"]*)".*\[([0-9]+), *([0-9]+)\].*/\1 \2 \3/' |
        awk -v base="$((8 + size))" '{ print $1, base + $2, $3 - $2 }'
}

# MODEL AT BYTES OUTPUT: the checkpoint with the content of the file BYTES put into model.safetensors from AT on, whole again.
damage() {
    local dir=$4.unpacked
    mkdir "$dir" && tar -xf "$1" -C "$dir"
    dd if="$3" of="$dir/model.safetensors" bs=1 seek="$2" conv=notrunc status=none
    # shellcheck disable=SC2046 # names without blanks
    (cd "$dir" && sha256sum $(sed 's/^[0-9a-f]*  //' MANIFEST.sha256) >sums && mv sums MANIFEST.sha256 &&
        tar --format=pax -cf - $(tar -tf "$OLDPWD/$1")) >"$4"
}
