# Completions of the shells, made from --help.

setup() {
    load tools/common
    cd "$BATS_TEST_TMPDIR"
}

# The completions of the last word of a command line, a line each.
complete_words() {
    bash -c '. "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _slt; printf "%s\n" "${COMPREPLY[@]}"' \
        - "$BIN/completions/slt.bash" "$@"
}

@test "bash: every option of every program, their choices, and files" {
    for t in "$BIN"/slt-*[a-z]; do
        [ -x "$t" ] && [[ $t != *.pc ]] || continue
        name=$(basename "$t")
        complete_words "$name" -- | sort >got
        "$t" --help | grep -oE '^  (-., |    )--[a-z0-9-]+' | grep -oE '\-\-[a-z0-9-]+' | sort -u | diff - got
        [ "$(wc -l <got)" -gt 5 ]
    done
    [ "$(complete_words slt-train --optimizer galore8 | tr '\n' ' ')" = "galore8bit " ]
    [ "$(complete_words slt-init --method s)" = sltrain ]
    touch model.slt
    [ "$(complete_words slt-eval --data mod)" = model.slt ]
}

@test "zsh takes its file" {
    head -n 1 "$BIN/completions/_slt" | grep -q '^#compdef .*slt-train'
    grep -q -- "'--optimizer\[.*(adamw adam8bit galore galore8bit sgd muon muon8bit spectral spectral8bit)'" "$BIN/completions/_slt"
    command -v zsh >/dev/null || skip "no zsh"
    zsh -n "$BIN/completions/_slt"
}
