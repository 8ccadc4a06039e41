# slt-plan: the paper's counts and memory, a plan that equals the trainer's, and what it refuses.

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

parameters() {
    slt-plan "$@" | value_of parameters
}

# Rows of the table as SOURCE METHOD PRESET ACCOUNTING, then the columns that are asked for.
table() { # COLUMN...
    slt-plan --table2 | awk -F '\t' -v names="$*" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split(names, want, " "); next }
        { line = $1 " " $2 " " $3 " " $4; for (i = 1; i <= n; i++) line = line " " $at[want[i]]; print line }'
}

@test "every parameter count of the paper" {
    check() { [ "$(parameters "${@:2}" | awk '{ printf "%.2f", $1 / 1e6 }')" = "$1" ]; }
    check 58.07 --preset 60m --method full
    check 134.11 --preset 130m --method full
    check 367.97 --preset 350m --method full
    check 1339.08 --preset 1b --method full
    check 6738.42 --preset 7b --method full
    check 42.77 --preset 60m --method lowrank
    check 94.00 --preset 130m --method lowrank
    check 185.22 --preset 350m --method lowrank
    check 609.31 --preset 1b --method lowrank
    check 43.53 --preset 60m
    check 96.55 --preset 130m
    check 194.29 --preset 350m
    check 645.55 --preset 1b
    check 3144.74 --preset 7b
    # Table 7: other densities.
    [ "$(parameters --preset 350m --density .05 | cut -c 1-3)" = 200 ]
    [ "$(parameters --preset 350m --density .1 | cut -c 1-3)" = 215 ]
    check 669.71 --preset 1b --density .05
    check 730.10 --preset 1b --density .1
}

@test "every memory cell of Table 2 by its formula, and what the paper prints" {
    table memory printed_memory mark | sed -n 's/^table2 \(.*\) paper / \1 /p' | sed 's/^ //' >cells
    diff cells - <<'END'
full 60m 0.348 0.35 -
full 130m 0.805 0.81 -
full 350m 2.208 2.21 -
full 1b 8.034 8.04 -
full 7b 40.430 - -
lowrank 60m 0.257 0.24 deviates
lowrank 130m 0.564 0.57 -
lowrank 350m 1.111 1.11 -
lowrank 1b 3.656 3.66 -
lowrank 7b 16.926 - -
relora 60m 0.373 0.36 -
relora 130m 0.832 0.84 -
relora 350m 1.847 1.85 -
relora 1b 6.334 6.34 -
relora 7b 30.402 - -
galore 60m 0.280 0.28 -
galore 130m 0.611 0.61 -
galore 350m 1.389 1.59 deviates
galore 1b 4.763 4.76 -
galore 7b 22.882 - -
sltrain 60m 0.267 0.26 -
sltrain 130m 0.600 0.60 -
sltrain 350m 1.238 1.24 -
sltrain 1b 4.163 4.16 -
sltrain 7b 21.459 - -
END
}

@test "the table's parameters round to the printed millions, and are those of each model" {
    table parameters printed_parameters | awk '$1 == "table2" && $6 != "-" && sprintf("%.0f", $5 / 1e6) != $6' >wrong
    [ ! -s wrong ]
    for preset in 60m 130m 350m 1b 7b; do
        for method in full lowrank sltrain; do
            table parameters |
                grep -qx "table2 $method $preset paper $(parameters --preset $preset --method $method)"
        done
    done
}

@test "Figure 3 and Table 4: the printed bars, and the bytes of state beside them" {
    table memory printed_memory mark | grep '^figure3\|^table4' >bars
    diff bars - <<'END'
table4 galore 7b paper-8bit 19.119 62.0 measured
table4 sltrain 7b paper-8bit 15.169 46.0 measured
figure3 full 350m paper 2.208 4.5 measured
figure3 full 1b paper 8.034 16.3 measured
figure3 full 7b paper 40.430 67.4 measured
figure3 full 350m 8bit 1.484 3.5 measured
figure3 full 1b 8bit 5.399 11.8 measured
figure3 full 7b 8bit 27.164 29.4 measured
figure3 galore 350m 8bit 1.111 3.1 measured
figure3 galore 1b 8bit 3.911 10.3 measured
figure3 galore 7b 8bit 19.177 22.0 measured
figure3 sltrain 350m 8bit 0.804 2.2 measured
figure3 sltrain 1b 8bit 2.680 6.8 measured
figure3 sltrain 7b 8bit 13.336 18.3 measured
figure3 sltrain 350m 8bit-no-index 0.784 2.2 measured
figure3 sltrain 1b 8bit-no-index 2.603 6.8 measured
figure3 sltrain 7b 8bit-no-index 12.677 18.3 measured
END
}

@test "the state of a 7B model in 8 bits meets its targets" {
    table memory printed_memory mark | grep '^target' >targets
    diff targets - <<'END'
target sltrain 7b 8bit 13.336 13.4 met
target sltrain 7b 8bit-no-index 12.677 12.7 met
target sltrain 7b paper-8bit 15.169 15.2 reference
target full 7b paper 40.430 40.4 reference
END
}

@test "memory is the sum of its columns" {
    table memory weights moments projectors index |
        awk '{ if (sprintf("%.3f", ($6 + $7 + $8 + $9) / 1e9) != $5) exit 1; n++ } END { exit n != 46 }'
}

@test "the plan is that of slt-train --dry-run, byte for byte" {
    make_small_data
    for how in '--method full' '--method lowrank' '--method sltrain' '--method relora' '--support block:4x4 --density 0.1 --rank 5'; do
        slt-init --config tiny.json $how -o init.slt
        for run in '' '--batch 6 --micro-batch 3 --seq 32' '--batch 4 --seq 48 --route dense' '--route factored' \
            '--threads 1 --batch 64' '--device cpu-reference' '--optimizer adam8bit --per-layer' \
            '--recompute block --per-layer --micro-batch 8' '--recompute cheap'; do
            slt-train --dry-run --steps 3 --data train.tok $run init.slt | sed 1d >theirs
            slt-plan --config tiny.json $how $run | sed -n '/^tokens_per_step/,/^total/p' >ours
            [ "$(wc -l <ours)" -eq 10 ]
            cmp ours theirs
        done
    done
}

@test "the paper's column is the table's, at the same preset" {
    for method in full lowrank sltrain; do
        slt-plan --preset 350m --method $method >report
        table weights moments projectors index | grep "^table2 $method 350m" >row
        [ "$(cut -d ' ' -f 5- row)" = "$(for n in weights moments projectors index; do value_of "paper_$n" <report; done |
            paste -sd ' ')" ]
        [ "$(value_of paper <report)" = "$(cut -d ' ' -f 5- row | awk '{ printf "%.0f", $1 + $2 + $3 + $4 }')" ]
    done
}

@test "FLOPs: the same for every method by the model, fewer where the factored route is taken" {
    # 6 (L (4 d^2 + 3 d f) + V d) + 6 L seq d
    want=$((6 * (8 * (4 * 512 * 512 + 3 * 512 * 1376) + 32000 * 512) + 6 * 8 * 256 * 512))
    for method in full lowrank sltrain; do
        [ "$(slt-plan --preset 60m --method $method | value_of flops_per_token)" = $want ]
    done
    [ "$(slt-plan --preset 60m --method full | value_of computed_flops_per_token)" = $want ]
    nnz=$((8 * (4 * 7864 + 3 * 21135)))
    low=$((6 * (8 * 128 * (4 * 1024 + 3 * 1888) + 32000 * 512) + 6 * 8 * 256 * 512))
    slt-plan --preset 60m --route factored >report
    [ "$(value_of computed_flops_per_token <report)" = $((low + 6 * nnz)) ]
    [ "$(value_of route_gate_up <report)" = factored ]
    slt-plan --preset 60m --route dense --batch 8 --micro-batch 8 >report
    [ "$(value_of computed_flops_per_token <report)" = $((want + 8 * 128 * 8 * (4 * 512 * 512 + 3 * 512 * 1376) / 2048)) ]
    [ "$(value_of route_qkv <report)" = dense ]
}

@test "--memory says whether it fits, to the byte" {
    total=$(slt-plan --preset nano | value_of total)
    [ "$(slt-plan --preset nano | value_of fits)" = '' ]
    [ "$(slt-plan --preset nano --memory "$total" | value_of fits)" = yes ]
    slt-plan --preset nano --memory $((total - 1)) >report
    [ "$(value_of fits <report)" = no ]
    [ "$(value_of memory <report)" = $((total - 1)) ]
    [ "$(slt-plan --preset nano --memory 2Gi | value_of memory)" = 2147483648 ]
    [ "$(slt-plan --preset 7b --memory 80G | value_of fits)" = no ]
}

@test "--json prints the same names and values" {
    slt-plan --preset nano --memory 1G >lines
    # Real numbers have 17 digits there, 9 in lines, and a point even if they are whole.
    slt-plan --preset nano --memory 1G --json | sed 's/\.0,$/,/' |
        sed -nE 's/^ *"([^"]*)": "?([^",]*)"?,?$/\1\t\2/p' |
        awk -F '\t' -v OFS='\t' '$2 ~ /^[0-9]*\.[0-9]*$/ { $2 = sprintf("%.9g", $2) } 1' >object
    cmp lines object
}

@test "options change what they should" {
    body=$((4 * (4 * 128 * 128 + 3 * 128 * 352) + 9 * 128))
    [ "$(parameters --preset nano --method full --vocab-size 1000)" = $((2 * 1000 * 128 + body)) ]
    factors=$((4 * 7 * (4 * 256 + 3 * 480) + 9 * 128 + 2 * 4096 * 128))
    [ "$(parameters --preset nano --rank 7 --density 0.2)" = $((factors + 4 * (4 * 3276 + 3 * 9011))) ]
    # Blocks of 3 x 5: 42 x 25 and 117 x 25 or 42 x 70 of them fit.
    [ "$(parameters --preset nano --rank 7 --density 0.2 --support block:3x5)" = \
        $((factors + 4 * 15 * (4 * 210 + 2 * 585 + 588))) ]
    [ "$(slt-plan --preset 7b | value_of rank)" = 1024 ]
    [ "$(slt-plan --preset 7b | value_of density)" = 0.05 ]
    [ "$(slt-plan --preset 7b --alpha 3 | value_of alpha)" = 3 ]
    [ "$(slt-plan --preset nano --batch 3 --seq 100 | value_of tokens_per_step)" = 300 ]
    slt-plan -v --preset nano --threads 1 2>err >/dev/null
    grep -q '^slt-plan: CPU.*1 thread' err
}

@test "options that do not fit together are wrong usage" {
    echo '{}' >c.json
    for how in '' '--preset nano --config c.json' '--preset 3b' '--preset nano --method dense' \
        '--preset nano --method full --rank 4' '--preset nano --method lowrank --density 0.1' \
        '--preset nano --support round' '--preset nano --optimizer adam' '--preset nano --batch 4 --micro-batch 3' \
        '--preset nano --density 0' '--preset nano --route scenic' '--preset nano --memory much' '--preset nano extra' \
        '--table2 --preset nano' '--table2 --json' '--table2 --memory 1G' '--table2 --method full'; do
        run slt-plan $how
        echo "$how: $output"
        [ "$status" -eq 2 ]
        [[ $output == slt-plan:*"Try 'slt-plan --help'." ]]
    done
}

@test "a configuration that cannot be read is a failure" {
    run slt-plan --config no-such-file
    [ "$status" -eq 1 ]
    [ "$output" = "slt-plan: cannot open 'no-such-file': No such file or directory" ]
    echo '{"hidden_size": 25' >c.json
    run slt-plan --config c.json
    [ "$status" -eq 1 ]
    [[ $output == *c.json* ]]
}

@test "the examples of the manual page work" {
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$ROOT/man/slt-plan.1" |
        sed -n 's/^\.Dl //p; /^\.Bd/,/^\.Ed/{/^\./!p}' | sed 's/\\e/\\/g; s/\\(dq/"/g' >examples
    [ "$(grep -c slt-plan examples)" -ge 3 ]
    bash -eu -o pipefail examples >out
    [ "$(grep -c '^parameters' out)" -eq 2 ]
    grep -qx 16 out
    [ "$(grep -c deviates out)" -eq 2 ]
}
