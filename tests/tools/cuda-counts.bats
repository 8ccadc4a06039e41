# What CUDA kernels ask of memory, as the emulation counts it: a kernel that begins to read past its neighbours, a bank
# that many threads meet at, one launch more in a step, memory that nobody has written.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    mkdir bin
    cp -a "$BIN"/slt-{init,train} "$BIN"/libslt.so* "$BIN/emulation/counted/libslt-cuda.so" bin
    BUILD=$BIN "$ROOT/tests/cuda-emulation/count-step" >counts
}

setup() {
    load common
    COUNTS=$BATS_FILE_TMPDIR/counts
}

@test "a step launches the kernels that it should, and they move and wait no more than they did" {
    column -t -s "$(printf '\t')" "$COUNTS"
    diff <(cut -f 1,2 "$COUNTS") <(cut -f 1,2 "$ROOT/tests/cuda-emulation/counts.tsv")
    # Where a kernel has become better, count-step gives the table anew.
    paste "$COUNTS" "$ROOT/tests/cuda-emulation/counts.tsv" | awk -F '\t' '
        NR == 1 { n = NF / 2; for (i = 1; i <= n; i++) name[i] = $i; next }
        { for (i = 3; i <= n; i++) if ($i > 1.02 * $(n + i) || $i < .9 * $(n + i)) {
            print $1 ": " name[i] " is " $i ", was " $(n + i); bad = 1 } }
        END { exit bad }'
}

@test "kernels that stream move little more than they cannot do without" {
    # A thread that has 32 bytes in F32 moves its sector twice, half of it each time, and norms read their gains again for
    # each token: both from caches. What is strided moves eight times as much.
    awk -F '\t' '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $1 ~ /^(swiglu|rotate|rmsnorm_rows|rmsnorm_backward|block_squares|adam_elements.*8>|embedding_sums)/ {
            seen++
            if ($at["read moved"] > 2.75 * $at["read distinct"] ||
                ($at["write moved"] > 2.1 * $at["write distinct"] && $at["written"] > 100000)) {
                print
                bad = 1
            }
        }
        END { exit bad || seen < 6 }' "$COUNTS"
}

@test "no kernel reads what nobody has written, or at an address that is not aligned, in any method and optimizer" {
    cd "$BATS_FILE_TMPDIR"
    PATH=$BATS_FILE_TMPDIR/bin:$PATH
    for how in "full" "full --optimizer galore8bit --galore-rank 4 --micro-batch 2" "full --optimizer muon" \
        "sltrain --optimizer spectral8bit --per-layer" "sltrain --precision bf16 --route factored --recompute block" \
        "sltrain --precision bf16-sr --optimizer adam8bit --per-layer --clip 0.5" "relora --relora-every 2" \
        "block --precision bf16 --route factored --micro-batch 2"; do
        read -r method options <<<"$how"
        init=(--method "$method")
        [ "$method" != block ] || init=(--method sltrain --support block:16x4 --density 0.2)
        slt-init -q --config tiny.json --tokenizer spm.model "${init[@]}" -o m.slt
        echo "$how"
        # shellcheck disable=SC2086 # several words
        SLT_EMULATION_COUNT=counted slt-train -q --device cuda --data train.tok --batch 4 --seq 24 --steps 3 --warmup 1 --lr 1e-3 \
            $options -o /dev/null m.slt
        [ "$(wc -l <counted)" -gt 15 ]
    done
}
