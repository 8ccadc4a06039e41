# The ladder of sizes: its table and its fit on numbers made up, and the whole of it at a size of seconds.

setup_file() {
    export BIN OUT
    BIN=$(cd "${BUILD:-build}" && pwd)
    OUT=$BATS_FILE_TMPDIR/ladder
}

# SIZE WEIGHTS ROW SHARE SEED PERPLEXITY: the files of a run.
made_up() {
    mkdir -p "$1"
    printf 'tokens\t%d\ntext_tokens\t1000000\n' $((20 * $2)) >"$1/tokens"
    printf 'parameters\t%d\nparameters_embedding\t500\nparameters_weight\t%d\n' $(($2 * $4 / 100 + 500)) $(($2 * $4 / 100)) >"$1/$3-1e-3-$5.init"
    printf 'loss\t1\nperplexity\t%s\n' "$6" >"$1/$3-1e-3-$5.eval"
    echo "$1/$3-1e-3-$5" >>runs
}

@test "gaps are of the same seed, with Student's interval, and the fit is a line over the logarithm of the weights" {
    cd "$BATS_TEST_TMPDIR"
    for seed in 1 2 3; do
        for size in 1:100000:40 2:1000000:20; do
            IFS=: read -r name weights full <<<"$size"
            made_up "$name" "$weights" full 100 $seed $((full + seed))
            # 2, 3 and 4 percent above at the small size, 4, 5 and 6 at the large one.
            made_up "$name" "$weights" sltrain 50 $seed \
                "$(awk -v p=$((full + seed)) -v up=$((seed + (name == 1 ? 1 : 3))) 'BEGIN { printf "%.10f", p * (1 + up / 100) }')"
        done
    done
    # shellcheck disable=SC2046 # names without blanks
    "$OLDPWD/pipelines/ladder-table" $(cat runs) >table
    cat table
    [ "$(wc -l <table)" -eq 5 ]
    # size weights tokens passes row rate seeds mean deviation gap interval parameters share
    [ "$(sed -n 2p table | tr '\t' ' ')" = "1 100000 2000000 2.00 full 1e-3 3 42.00 1.00 +0.00 0.00 100500 1.000" ]
    # The interval is 4.303 / sqrt(3) of a deviation of 1.
    [ "$(sed -n 3p table | cut -f 1,5-8,10- | tr '\t' ' ')" = "1 sltrain 1e-3 3 43.27 +3.00 2.48 50500 0.500" ]
    [ "$(sed -n 5p table | cut -f 1,5,10,11 | tr '\t' ' ')" = "2 sltrain +5.00 2.48" ]
    # shellcheck disable=SC2046
    "$OLDPWD/pipelines/ladder-table" --fit $(cat runs) >fit
    cat fit
    # 4 in the middle, 2 for a factor of ten; the deviation from the line is 1, with 4 degrees of freedom.
    [ "$(sed -n 2p fit | cut -f 1-4 | tr '\t' ' ')" = "sltrain 6 +2.00 2.27" ]
    # At 25.3 M weights: 4 + 2 * 1.903, +- 2.776 sqrt(1/6 + 1.903^2 / 1.5).
    [ "$(sed -n 2p fit | cut -f 5-7 | tr '\t' ' ')" = "+7.8 4.5 +0.3" ]
}

ladder() {
    make -s -f pipelines/ladder.mk BIN="$BIN" OUT="$OUT" CORPUS="$(echo lib/*/*.c)" VALID="$(echo tools/*.c)" SIZES=0.2m \
        GRID_SIZES=0.2m STEPS_0.2m=10 ROWS='full sltrain' GRID_full='2e-3 4e-3' GRID_sltrain=8e-3 "$@"
}

@test "text to a table of the ladder, and nothing done twice" {
    ladder SEEDS='1 2' >"$BATS_TEST_TMPDIR/stdout"
    cat "$BATS_TEST_TMPDIR/stdout"
    [ "$(cut -f 1,5,7 "$OUT/ladder.tsv" | tr '\t\n' '  ')" = "size row seeds 0.2m full 2 0.2m sltrain 2 " ]
    [ "$(sed -n 2p "$OUT/ladder.tsv" | cut -f 2,3,13)" = "$(printf '200704\t40960\t1.000')" ]
    awk -F '\t' 'NR > 1 && !($8 > 1 && $8 < 2048 && $13 > 0.4) { exit 1 }' "$OUT/ladder.tsv"
    grep -q '^<svg ' "$OUT/ladder.svg"
    grep -q '>sltrain<' "$OUT/ladder.svg"
    before=$(stat -c %Y.%s "$OUT"/0.2m/*.slt)
    ladder SEEDS='1 2' >"$BATS_TEST_TMPDIR/again"
    cmp "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/again"
    [ "$(stat -c %Y.%s "$OUT"/0.2m/*.slt)" = "$before" ]
    # Fewer rows are fewer rows in the table.
    ladder SEEDS='1 2' ROWS=full >/dev/null
    [ "$(wc -l <"$OUT/ladder.tsv")" -eq 2 ]
    # The grid adds a run of its own.
    ladder SEEDS='1 2' grid >/dev/null
    [ "$(cut -f 5,6 "$OUT/grid.tsv" | tr '\t\n' '  ')" = "row rate full 2e-3 full 4e-3 sltrain 8e-3 " ]
}
