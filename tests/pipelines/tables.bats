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
