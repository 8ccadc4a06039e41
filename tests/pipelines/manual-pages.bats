# The demo pipeline at a size of seconds: text of this tree in, one table out, a line for each step, and nothing done twice.

setup_file() {
    export BIN OUT
    BIN=$(cd "${BUILD:-build}" && pwd)
    OUT=$BATS_FILE_TMPDIR/demo
}

demo() {
    make -s -f pipelines/manual-pages.mk BIN="$BIN" OUT="$OUT" CORPUS="$(echo lib/*/*.c)" STEPS=20 "$@"
}

# How a line about a step begins; a model's text may begin with a bracket too.
step='^\[[0-9]+/[0-9]+\] [a-z]+ing '

# What the steps said on stderr, without times and numbers.
told() {
    grep -E "$step" "$1" | sed -E 's/done in [0-9 mins]+/done/; s/[0-9][0-9.]*( tokens)?$/N\1/'
}

@test "the demo prints a table of three methods and a generated paragraph, and nothing else on stdout" {
    demo >"$BATS_FILE_TMPDIR/stdout" 2>"$BATS_FILE_TMPDIR/stderr"
    cat "$BATS_FILE_TMPDIR/stdout" "$BATS_FILE_TMPDIR/stderr"
    [ "$(wc -l <"$OUT/table.tsv")" -eq 4 ]
    [ "$(cut -f 1 "$OUT/table.tsv" | tr '\n' ' ')" = "method full lowrank sltrain " ]
    # Perplexities are real numbers below that of guessing among 4096 pieces; sltrain has fewer parameters than full.
    awk -F '\t' 'NR > 1 && !($2 > 1 && $2 < 4096 && $3 > 0 && $4 > 0 && $5 > 0) { exit 1 }' "$OUT/table.tsv"
    [ "$(awk -F '\t' '{ n[$1] = $3 } END { print (n["sltrain"] < n["full"]) }' "$OUT/table.tsv")" = 1 ]
    head -n 4 "$BATS_FILE_TMPDIR/stdout" | tr -s ' ' '\t' | diff - <(tr -s ' ' '\t' <"$OUT/table.tsv")
    [ -z "$(sed -n 5p "$BATS_FILE_TMPDIR/stdout")" ]
    sed -n 6p "$BATS_FILE_TMPDIR/stdout" | grep -q 'sltrain.slt goes on: The function returns'
}

@test "each step tells which of how many it is, what it does and what it gave" {
    [ "$(head -n 1 "$BATS_FILE_TMPDIR/stderr")" = "8 steps, 0 of them made before" ]
    told "$BATS_FILE_TMPDIR/stderr" | diff - <(cat <<'END'
[1/8] training a tokenizer and encoding the text ...
[1/8] training a tokenizer and encoding the text: done, N tokens
[2/8] training full (20 steps) ...
[2/8] training full (20 steps): done, loss N
[3/8] evaluating full ...
[3/8] evaluating full: done, perplexity N
[4/8] training lowrank (20 steps) ...
[4/8] training lowrank (20 steps): done, loss N
[5/8] evaluating lowrank ...
[5/8] evaluating lowrank: done, perplexity N
[6/8] training sltrain (20 steps) ...
[6/8] training sltrain (20 steps): done, loss N
[7/8] evaluating sltrain ...
[7/8] evaluating sltrain: done, perplexity N
[8/8] making the table ...
[8/8] making the table: done
END
    )
    # The numbers are those of the results.
    awk -F '\t' '$1 == "full" { printf "perplexity %.2f\n", $2 }' "$OUT/table.tsv" |
        grep -qxf - <(sed -n 's/^\[3.*done in .* s, //p' "$BATS_FILE_TMPDIR/stderr")
    # No command is to be seen.
    if grep -q -- 'slt-train --data' "$BATS_FILE_TMPDIR/stdout" "$BATS_FILE_TMPDIR/stderr"; then false; fi
}

@test "a second run of the demo trains nothing, and prints the same" {
    before=$(stat -c %Y.%s "$OUT"/*.slt)
    demo >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr"
    [ "$(stat -c %Y.%s "$OUT"/*.slt)" = "$before" ]
    [ "$(cat "$BATS_TEST_TMPDIR/stderr")" = "8 steps, 8 of them made before" ]
    cmp "$BATS_TEST_TMPDIR/stdout" "$BATS_FILE_TMPDIR/stdout"
}

@test "two at a time, where some are made: the steps keep their numbers, each on lines of its own" {
    rm "$OUT"/full.eval "$OUT"/lowrank.eval "$OUT"/table.tsv
    # On a terminal the steps' own progress would be there.
    script -qec "$(printf '%q ' make -j2 -s -f pipelines/manual-pages.mk BIN="$BIN" OUT="$OUT" CORPUS="$(echo lib/*/*.c)" STEPS=20)" \
        /dev/null </dev/null | tr -d '\r' >"$BATS_TEST_TMPDIR/terminal"
    cat "$BATS_TEST_TMPDIR/terminal"
    [ "$(head -n 1 "$BATS_TEST_TMPDIR/terminal")" = "8 steps, 5 of them made before" ]
    told "$BATS_TEST_TMPDIR/terminal" | sort | diff - <(cat <<'END'
[3/8] evaluating full ...
[3/8] evaluating full: done, perplexity N
[5/8] evaluating lowrank ...
[5/8] evaluating lowrank: done, perplexity N
[8/8] making the table ...
[8/8] making the table: done
END
    )
    tail -n +2 "$BATS_TEST_TMPDIR/terminal" | grep -vE "$step" | diff - "$BATS_FILE_TMPDIR/stdout"
}

@test "a step that fails says why and is not told as done; V=1 shows the commands" {
    head -c 100 LICENSE >"$BATS_TEST_TMPDIR/text"
    status=0
    make -f pipelines/manual-pages.mk BIN="$BIN" OUT="$BATS_TEST_TMPDIR/out" CORPUS="$BATS_TEST_TMPDIR/text" V=1 \
        >"$BATS_TEST_TMPDIR/log" 2>&1 || status=$?
    cat "$BATS_TEST_TMPDIR/log"
    [ "$status" -eq 2 ]
    grep -q '^\[1/8\] training a tokenizer.* \.\.\.$' "$BATS_TEST_TMPDIR/log"
    grep -q '^slt-tokenize: ' "$BATS_TEST_TMPDIR/log"
    grep -q "^pipelines/step .*$BIN/slt-tokenize --train-tokenizer" "$BATS_TEST_TMPDIR/log"
    if grep -q 'done in' "$BATS_TEST_TMPDIR/log"; then false; fi
    [ ! -e "$BATS_TEST_TMPDIR/out/train.tok" ]
}
