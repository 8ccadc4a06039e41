# The pipelines of the paper's tables and figures, from text to the end, with runs of a few steps.

setup_file() {
    load ../tools/common
    cd "$BATS_FILE_TMPDIR"
    make_text train.txt
    head -c 20000 "$ROOT"/lib/files/corpus.c >valid.txt
}

setup() {
    load ../tools/common
    cd "$ROOT"
    OUT=$BATS_TEST_TMPDIR/out
    # shellcheck disable=SC2016 # a variable of make
    SHORT=(BIN="$BIN" OUT="$OUT" CORPUS="$BATS_FILE_TMPDIR/train.txt" VALID="$BATS_FILE_TMPDIR/valid.txt" SEEDS='1 2'
        DATA='--steps 3 --batch 2 --seq 16' EVAL='--seq 16 --batch 2 --limit 300'
        TOKENIZER='--train-tokenizer $(OUT)/spm.model --vocab-size 512')
}

# TARGET ROWS PIPELINE [VARIABLE=VALUE...]: it makes so many rows, all filled, and a second time nothing.
make_table() {
    local target=$1 rows=$2
    shift 2
    make -s -f "$@" "${SHORT[@]}" >"$BATS_TEST_TMPDIR/log" 2>&1 || { cat "$BATS_TEST_TMPDIR/log"; return 1; }
    [ "$(wc -l <"$OUT/$target")" -eq $((rows + 1)) ]
    awk -F '\t' 'NR == 1 { n = NF; for (c = 1; c <= NF; c++) if ($c == "perplexity") p = c }
        NR > 1 && (NF != n || $p !~ /^[0-9.]+$/ || $p <= 1) { print; exit bad = 1 } END { exit bad }' "$OUT/$target"
    make -q -f "$@" "${SHORT[@]}" "$OUT/$target"
}

@test "table2.mk: eight methods, then its grid" {
    make_table table2.tsv 8 pipelines/table2.mk RELORA_EVERY=2 RELORA_WARMUP=1 GALORE_GAP=2
    [ "$(cut -f 3 "$OUT/table2.tsv" | sort -u | head -n 1)" = 2 ]
    make_table grid.tsv 3 pipelines/table2.mk ROWS=sltrain "$OUT/grid.tsv"
}

@test "table1.mk: a model, its best low-rank part, and four ways to add to that" {
    make_table table1.tsv 6 pipelines/table1.mk
    cut -f 1 "$OUT/table1.tsv" | tail -n +2 | diff - <(printf '%s\n' full L0 L0-top-pruned L0-random-pruned L0-top-trained L0-random-trained)
}

@test "figure2.mk: reports and figures of a full-rank and a sparse plus low-rank model" {
    command -v gnuplot >/dev/null || skip "no gnuplot"
    make -s -f pipelines/figure2.mk "${SHORT[@]}" LAYER='*.3.mlp.up_proj' >/dev/null 2>&1
    for model in full sltrain; do
        [ "$(grep -c '^singular.*	W	' "$OUT/$model/report.tsv")" -eq 128 ]
        [ -s "$OUT/$model/model.layers.3.mlp.up_proj.residual.png" ]
    done
    [ -s "$OUT/sltrain/model.layers.3.mlp.up_proj.parts.svg" ]
}

# ---- What would be trained at every scale ----

# ROW [VARIABLE=VALUE...]: the commands of one row of table2.mk at the paper's learning rate, a line each, run by nobody.
commands() {
    local row=$1
    shift
    make -n -f pipelines/table2.mk BIN="$BIN" OUT="$OUT" SEEDS=1 ROWS="$row" \
        CORPUS="$BATS_FILE_TMPDIR/train.txt" VALID="$BATS_FILE_TMPDIR/valid.txt" "$@" >"$BATS_TEST_TMPDIR/commands"
    sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' "$BATS_TEST_TMPDIR/commands" >"$BATS_TEST_TMPDIR/lines"
    grep "^[[:space:]]*$BIN/slt-init .* -o $OUT/$row-[^ ]*-1-init.slt\$" "$BATS_TEST_TMPDIR/lines" >"$BATS_TEST_TMPDIR/init"
    grep "^[[:space:]]*$BIN/slt-train .* -o $OUT/$row-[^ ]*-1.slt " "$BATS_TEST_TMPDIR/lines" >"$BATS_TEST_TMPDIR/train"
    # One command of each, or it would not be known which one is looked at.
    cat "$BATS_TEST_TMPDIR/init" "$BATS_TEST_TMPDIR/train"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/init")" -eq 1 ]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/train")" -eq 1 ]
}

# NAME: what the slt-init of these commands makes, told by itself.
made() {
    bash -c "$(cat "$BATS_TEST_TMPDIR/init") --dry-run -o -" | value_of "$1"
}

# OPTION DEFAULT: its value on the command line of slt-train, where the last one counts.
given() {
    awk -v name="$1" -v value="$2" '{ for (i = 1; i < NF; i++) if ($i == name) value = $(i + 1) } END { print value }' \
        "$BATS_TEST_TMPDIR/train"
}

# How that slt-train trains.
schedule() {
    echo "$(given --steps none) $(given --warmup 0) $(given --batch 32) $(given --seq 256) $(given --layout packed)" \
        "$(given --precision f32) $(given --optimizer adamw) $(given --clip 0) $(given --lr 3e-3)"
}

@test "table2.mk: at every scale the paper's rank, density, alpha, steps, warm-up, precision and optimizer" {
    mkdir -p "$OUT"
    slt-tokenize --train-tokenizer "$OUT/spm.model" --vocab-size 512 -o "$OUT/some.tok" "$BATS_FILE_TMPDIR/train.txt"
    # preset rank density alpha steps warm-up batch seq layout precision optimizer clip lr
    cat >"$BATS_TEST_TMPDIR/scales" <<'END'
nano   32 0.03  8    600    60  32 128 packed   f32  adamw    0   8e-3
9m     32 0.03  8    600    60  32 128 packed   f32  adamw    0   8e-3
20m    64 0.03 16    600    60  32 128 packed   f32  adamw    0   8e-3
35m    96 0.03 24    600    60  32 128 packed   f32  adamw    0   8e-3
60m   128 0.03 32  11000  1100 512 256 document bf16 adamw    0   3e-3
130m  256 0.03 16  22000  2200 512 256 document bf16 adamw    0   3e-3
350m  256 0.03 16  65000  6500 512 256 document bf16 adamw    0   3e-3
1b    512 0.03  8 140000 10000 512 256 document bf16 adamw    0   3e-3
7b   1024 0.05  8 150000 15000 512 256 document bf16 adam8bit 1.0 3e-3
END
    # The rows of the 8-bit moments have them at every scale, those of the others as the scale has.
    while read -r scale rank density alpha schedule; do
        commands sltrain SCALE="$scale"
        [ "$(made method) $(made rank) $(made density) $(made alpha)" = "sltrain $rank $density $alpha" ]
        # shellcheck disable=SC2086 # the columns
        [ "$(schedule)" = "$(echo $schedule)" ]
        for row in lowrank relora; do
            commands $row SCALE="$scale"
            [ "$(made method) $(made rank) $(made alpha)" = "$row $rank $alpha" ]
        done
        for row in galore galore8; do
            commands $row SCALE="$scale"
            [ "$(made method) $(given --galore-rank none)" = "full $rank" ]
            want=$row
            [ $row.$scale != galore.7b ] || want=galore8
            [ "$(given --optimizer none)" = "${want/8/8bit}" ]
        done
        for row in full8 sltrain8; do
            commands $row SCALE="$scale"
            [ "$(made method) $(given --optimizer none)" = "${row%8} adam8bit" ]
        done
    done <"$BATS_TEST_TMPDIR/scales"
}

@test "table2.mk: what is given stands for the preset's, and a scale that nobody knows is refused" {
    mkdir -p "$OUT"
    slt-tokenize --train-tokenizer "$OUT/spm.model" --vocab-size 512 -o "$OUT/some.tok" "$BATS_FILE_TMPDIR/train.txt"
    commands sltrain SCALE=60m RANK=96 DENSITY=0.05 ALPHA=24
    [ "$(made rank) $(made density) $(made alpha)" = "96 0.05 24" ]
    commands relora SCALE=1b RANK=96
    [ "$(made rank) $(made alpha)" = "96 8" ]
    commands galore SCALE=350m RANK=96
    [ "$(given --galore-rank none)" = 96 ]
    for pipeline in table1 table2 figure2; do
        run make -n -f pipelines/$pipeline.mk "${SHORT[@]}" SCALE=3b
        [ "$status" -eq 2 ]
        [[ $output == *"SCALE is one of nano "*" 7b, not '3b'"* ]]
    done
}

@test "table1.mk and figure2.mk: steps, rank, density and last layer of every scale" {
    while read -r scale rank density steps layer; do
        run make -n -f pipelines/table1.mk BIN="$BIN" OUT="$OUT" SEEDS=1 SCALE="$scale" CORPUS=README.md VALID=README.md
        [ "$status" -eq 0 ]
        [ "$(grep -c -- " --rank $rank --density $density --support top " <<<"$output")" -eq 1 ]
        [ "$(grep -c -- " --method lowrank --rank $rank " <<<"$output")" -eq 1 ]
        [ "$(grep -c -- "slt-train .* --steps $steps " <<<"$output")" -eq 3 ]
        run make -n -f pipelines/figure2.mk BIN="$BIN" OUT="$OUT" SCALE="$scale" CORPUS=README.md
        [ "$status" -eq 0 ]
        [ "$(grep -c -- "slt-train .* --steps $steps " <<<"$output")" -eq 2 ]
        [ "$(grep -cF -- "--layer '*.$layer.self_attn.o_proj'" <<<"$output")" -eq 2 ]
    done <<'END'
nano   32 0.03    600  3
60m   128 0.03  11000  7
130m  256 0.03  22000 11
350m  256 0.03  65000 23
1b    512 0.03 140000 23
7b   1024 0.05 150000 31
END
}
