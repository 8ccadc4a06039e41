# Configurations of LLaMA models as they are published: plans of the real sizes, and small versions that train.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    CONFIGS=$ROOT/tests/configs
}

# NAME DIVISOR: the configuration with two layers, 512 pieces, and widths and heads divided.
smaller() {
    awk -v d="$2" '
        /"num_hidden_layers"/ { sub(/[0-9]+/, 2) }
        /"vocab_size"/ { sub(/[0-9]+/, 512) }
        /"bos_token_id"/ { sub(/[0-9]+/, 1) }
        /"eos_token_id"/ { sub(/[0-9]+/, 2) }
        /"hidden_size"|"intermediate_size"|"num_(attention|key_value)_heads"/ { match($0, /[0-9]+/)
            sub(/[0-9]+/, substr($0, RSTART, RLENGTH) / d) }
        { print }' "$CONFIGS/$1.json"
}

@test "published configurations have the published numbers of parameters" {
    for want in tinyllama:1100048384 smollm:134515008 llama2-7b:6738415616 llama3-8b:8030261248; do
        got=$(slt-plan --config "$CONFIGS/${want%:*}.json" --method full --batch 1 | value_of parameters)
        echo "$want $got"
        [ "$got" = "${want#*:}" ]
        slt-plan --config "$CONFIGS/${want%:*}.json" --method sltrain --rank 64 --density 0.03 --batch 1 >plan
        [ "$(value_of parameters <plan)" -lt "$got" ]
    done
}

@test "scaled rotary positions that are not computed are refused with a sentence" {
    sed 's/"rope_type": "llama3"/"rope_type": "yarn"/' "$CONFIGS/llama32-1b.json" >yarn.json
    for tool in slt-plan "slt-init -o x.slt"; do
        # shellcheck disable=SC2086 # several words
        run $tool --config yarn.json --method full
        [ "$status" -eq 1 ]
        [[ $output == *'"rope_scaling.rope_type" is "yarn", and only the types default, linear and llama3 are supported' ]]
        [ ! -e x.slt ]
    done
}

@test "scaling goes through training, states and every layout, and changes what is computed" {
    smaller llama32-1b 8 | sed 's/"original_max_position_embeddings": 8192/"original_max_position_embeddings": 64/' >small.json
    slt-init --config small.json --tokenizer "$DATA/spm.model" --rank 16 --density 0.03 --alpha 16 -o init.slt
    slt-train --data "$DATA/train.tok" --steps 4 --batch 4 --seq 32 --lr 3e-3 --keep-state -o m.slt init.slt
    slt-quantize --type int8 m.slt | slt-info - | grep -qx 'config.rope_scaling.rope_type	llama3'
    slt-convert --merge -o hf m.slt
    slt-convert --to reference -o reference m.slt
    loss() { slt-eval --data "$DATA/valid.tok" --seq 32 --limit 500 "$1" | value_of loss; }
    want=$(loss m.slt)
    for directory in hf reference; do
        tr -d ' \n' <$directory/config.json >flat
        grep -q '"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":32.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64}' flat
        slt-convert -o back.slt $directory
        awk -v a="$want" -v b="$(loss back.slt)" 'BEGIN { exit !(a > 0 && (a / b - 1) ^ 2 < 1e-10) }'
    done
    slt-convert --to reference -o again back.slt
    cmp again/config.json reference/config.json
    # Plain positions, and the other scaling, give other losses.
    sed -i '/"rope_scaling"/,/}/d' hf/config.json
    slt-convert -o plain.slt hf
    sed 's/"rope_theta": 500000.0,/&"rope_scaling": {"type": "linear", "factor": 2},/' hf/config.json >c && mv c hf/config.json
    slt-convert -o linear.slt hf
    [ "$(printf '%s\n' "$want" "$(loss plain.slt)" "$(loss linear.slt)" | sort -u | wc -l)" -eq 3 ]
    # GGUF has a tensor of divisors for one and two keys for the other.
    number() { od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }
    slt-convert --to gguf -o plain.gguf plain.slt
    slt-convert --to gguf -o llama3.gguf m.slt
    slt-convert --to gguf -o linear.gguf linear.slt
    [ "$(number llama3.gguf 8 8)" -eq $(($(number plain.gguf 8 8) + 1)) ]
    [ "$(number linear.gguf 16 8)" -eq $(($(number plain.gguf 16 8) + 2)) ]
    grep -aq 'llama.rope.scaling.type' linear.gguf
    grep -aq 'rope_freqs.weight' llama3.gguf
    # The last tensor: of head_dim 64 the 32 divisors, 1 for short wavelengths and the factor for long ones.
    tail -c 128 llama3.gguf | od -An -v -t f4 -w4 | tr -d ' ' >divisors
    [ "$(head -n 1 divisors)" = 1 ]
    [ "$(tail -n 1 divisors)" = 32 ]
    [ "$(sort -g -u divisors | wc -l)" -gt 2 ]
}

@test "the parameters of a model with scaled positions, tied embeddings and grouped queries" {
    [ "$(slt-plan --config "$CONFIGS/llama32-1b.json" --method full --batch 1 | value_of parameters)" = 1235814400 ]
}

@test "small versions train in every method, with their own theta, epsilon, groups and ties" {
    for family in tinyllama:4 smollm:1 llama2-7b:8 llama3-8b:8 llama32-1b:8; do
        smaller "${family%:*}" "${family#*:}" >small.json
        for key in rope_theta rms_norm_eps tie_word_embeddings; do grep "\"$key\"" small.json || true; done |
            tr -d ' ,' | sed 's/1e-05/1e-5/; s/000\.0/000/' >want
        [ "$(wc -l <want)" -ge 2 ]
        for method in full sltrain; do
            factors=(--rank 16 --density 0.03 --alpha 16)
            [ $method = sltrain ] || factors=()
            slt-init --config small.json --tokenizer "$DATA/spm.model" --method $method "${factors[@]}" -o init.slt
            tar -xOf init.slt config.json | tr -d ' ,' | sed 's/1e-05/1e-5/; s/000\.0$/000/' >got
            while read -r line; do grep -qxF "$line" got || { echo "$family: no $line"; cat got; false; }; done <want
            slt-train --data "$DATA/train.tok" --steps 6 --batch 4 --seq 32 --lr 3e-3 --metrics run.jsonl -o m.slt init.slt
            sed -n 's/.*"loss":\([^,}]*\).*/\1/p' run.jsonl >losses
            awk 'NR == 1 { first = $1 } END { exit !($1 < first && $1 > 0) }' losses
            slt-generate --prompt "static int" --max-tokens 5 m.slt >/dev/null
            slt-info --check m.slt
        done
    done
}

@test "a tied model with grouped queries becomes sparse plus low-rank by SVD, trains on, and comes back" {
    smaller smollm 1 >small.json
    slt-init --config small.json --tokenizer "$DATA/spm.model" --method full -o full.slt
    slt-train --data "$DATA/train.tok" --steps 6 --batch 4 --seq 32 --lr 3e-3 -o dense.slt full.slt
    slt-init --from dense.slt --method sltrain --rank 128 --density 0.05 -o start.slt
    slt-train --data "$DATA/train.tok" --steps 3 --batch 4 --seq 32 --lr 1e-3 -o m.slt start.slt
    slt-eval --data "$DATA/valid.tok" --seq 32 --limit 2000 m.slt >ours
    slt-convert --merge -o hf m.slt
    if tar -tf m.slt | grep -q lm_head; then false; fi
    grep -q '"tie_word_embeddings": true' hf/config.json
    slt-convert hf | slt-eval --data "$DATA/valid.tok" --seq 32 --limit 2000 - >merged
    awk -v a="$(value_of loss <ours)" -v b="$(value_of loss <merged)" 'BEGIN { exit !((a / b - 1) ^ 2 < 1e-10) }'
    # A rank that leaves nothing out gives back the model it came from.
    slt-init --from dense.slt --method lowrank --rank 576 -o exact.slt
    slt-eval --data "$DATA/valid.tok" --seq 32 --limit 2000 exact.slt >a
    slt-eval --data "$DATA/valid.tok" --seq 32 --limit 2000 dense.slt >b
    awk -v a="$(value_of loss <a)" -v b="$(value_of loss <b)" 'BEGIN { exit !((a / b - 1) ^ 2 < 1e-9) }'
}
