# The demo pipeline at a size of seconds: text of this tree in, one table out, and nothing done twice.

setup_file() {
    export BIN OUT
    BIN=$(cd "${BUILD:-build}" && pwd)
    OUT=$BATS_FILE_TMPDIR/demo
}

demo() {
    make -f pipelines/manual-pages.mk BIN="$BIN" OUT="$OUT" CORPUS="$(echo lib/*/*.c)" STEPS=20 "$@"
}

@test "the demo prints a table of three methods and a generated paragraph" {
    run demo
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(wc -l <"$OUT/table.tsv")" -eq 4 ]
    [ "$(cut -f 1 "$OUT/table.tsv" | tr '\n' ' ')" = "method full lowrank sltrain " ]
    # Perplexities are real numbers below that of guessing among 4096 pieces; sltrain has fewer parameters than full.
    awk -F '\t' 'NR > 1 && !($2 > 1 && $2 < 4096 && $3 > 0 && $4 > 0 && $5 > 0) { exit 1 }' "$OUT/table.tsv"
    [ "$(awk -F '\t' '{ n[$1] = $3 } END { print (n["sltrain"] < n["full"]) }' "$OUT/table.tsv")" = 1 ]
    [[ $output == *"The function returns"* ]]
}

@test "a second run of the demo trains nothing" {
    before=$(stat -c %Y.%s "$OUT"/*.slt)
    run demo
    [ "$status" -eq 0 ]
    [ "$(stat -c %Y.%s "$OUT"/*.slt)" = "$before" ]
}
