# Models whose layers differ: a dense first layer, ranks and densities of their own; every tool takes them.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' tiny.json
    for method in lowrank sltrain relora; do
        slt-init --config tiny.json --tokenizer spm.model --method $method --rank 6 --dense-layers first \
            --layer '1:qkv,down:rank=13' --layer 'last:o:rank=2' --layer '2:gate_up:method=full' --seed 3 -o $method.slt
    done
    slt-init --config tiny.json --tokenizer spm.model --rank 6 --layer '1:qkv,down:rank=9,density=0.2' \
        --layer '0:*:density=0.1' --support block:4x2 --seed 3 -o block.slt
    slt-train --data train.tok --batch 4 --seq 32 --warmup 2 --steps 20 --lr 1e-2 -o trained.slt sltrain.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    TRAIN=(--data "$DATA/train.tok" --batch 4 --seq 32 --warmup 2 --lr 1e-2 --no-provenance)
}

loss_of() {
    slt-eval --data "$DATA/valid.tok" --seq 32 --batch 4 --limit 2000 "$1" | value_of loss
}

near() { # A B LIMIT
    awk -v a="$1" -v b="$2" -v limit="$3" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < limit ^ 2) }'
}

@test "the tensors are those of each layer's form, and config.json says so" {
    for model in lowrank sltrain relora block trained; do
        slt-info --check "$DATA/$model.slt"
    done
    slt-info "$DATA/sltrain.slt" >report
    shape() { grep -P "\tmodel.layers.$1\t" report | cut -f 5; }
    [ "$(shape 0.self_attn.q_proj.weight)" = 32x32 ]
    [ "$(shape 0.mlp.up_proj.weight)" = 44x32 ]
    [ "$(shape 1.self_attn.k_proj.lora_A)" = 13x32 ]
    [ "$(shape 1.mlp.down_proj.lora_B)" = 32x13 ]
    [ "$(shape 1.mlp.up_proj.lora_A)" = 6x32 ]
    [ "$(shape 2.self_attn.o_proj.lora_A)" = 2x32 ]
    [ "$(shape 2.mlp.gate_proj.weight)" = 44x32 ]
    ! grep -q 'layers.0.*lora\|layers.2.mlp.gate_proj.sparse' report
    tar -xOf "$DATA/sltrain.slt" config.json | tr -d ' \n' | grep -qF '"layers":[{"layers":[0,0],"groups":["qkv","o","gate_up","down"],"method":"full"},{"layers":[1,1],"groups":["qkv","down"],"rank":13},{"layers":[2,2],"groups":["o"],"rank":2},{"layers":[2,2],"groups":["gate_up"],"method":"full"}]'
}

@test "a run resumes to the same bytes, with every optimizer, on any number of threads" {
    for how in "sltrain" "sltrain --optimizer spectral" "sltrain --optimizer adam8bit --per-layer" "block --optimizer spectral8bit --per-layer" \
        "sltrain --optimizer galore --galore-gap 3" "relora --relora-every 3 --precision bf16" "lowrank --optimizer muon --recompute block" \
        "sltrain --precision bf16-sr --route dense" "block --recompute cheap --clip 0.5"; do
        read -r model more <<<"$how"
        # shellcheck disable=SC2206 # several words
        run=(slt-train "${TRAIN[@]}" --steps 8 --keep-state $more)
        "${run[@]}" -o straight.slt "$DATA/$model.slt"
        "${run[@]}" --checkpoint s --checkpoint-every 5 --threads 1 -o a.slt "$DATA/$model.slt"
        cmp straight.slt a.slt
        rm a.slt
        "${run[@]}" --checkpoint s --resume -o a.slt "$DATA/$model.slt"
        cmp straight.slt a.slt
        slt-info --check a.slt
        rm -f s-*.slt
    done
}

@test "the plan of a run is what it takes, and what is recomputed is the same" {
    for how in "" "--optimizer adam8bit --per-layer" "--optimizer spectral --precision bf16" "--optimizer galore8bit --per-layer"; do
        # shellcheck disable=SC2206 # several words
        run=(slt-train "${TRAIN[@]}" --steps 3 $how)
        "${run[@]}" --dry-run "$DATA/sltrain.slt" | grep -v '^steps\|^tokens' >plan
        # shellcheck disable=SC2086
        slt-plan --config "$DATA/tiny.json" --vocab-size "$(tar -xOf "$DATA/sltrain.slt" config.json | grep -o '"vocab_size": [0-9]*' | grep -o '[0-9]*')" \
            --rank 6 --dense-layers first --layer 1:qkv,down:rank=13 --layer last:o:rank=2 --layer 2:gate_up:method=full \
            --batch 4 --seq 32 $how >report
        for region in parameters weights gradients moments index activations workspace total; do
            [ -n "$(value_of $region <plan)" ]
            [ "$(value_of $region <plan)" = "$(value_of $region <report)" ]
        done
        "${run[@]}" -o kept.slt "$DATA/sltrain.slt"
        "${run[@]}" --recompute block -o block.slt "$DATA/sltrain.slt"
        cmp kept.slt block.slt
    done
}

@test "routes are said by layers where they differ" {
    slt-train "${TRAIN[@]}" --steps 2 -v --route factored --keep-state -o m.slt "$DATA/sltrain.slt" 2>log
    grep -q 'qkv: 0:full 1-2:factored route' log
    grep -q 'gate_up: 0:full 1:factored 2:full route' log
    tar -xOf m.slt trainer.json | grep -q '"gate_up": "0:full 1:factored 2:full"'
    slt-train "${TRAIN[@]}" --steps 2 -v --route dense -o m.slt "$DATA/block.slt" 2>log
    grep -q 'qkv: dense route' log
}

@test "GaLore is for models with a full linear, ReLoRA's merge passes full ones by" {
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --layer '1:qkv:rank=9' -o none.slt
    run slt-train "${TRAIN[@]}" --steps 2 --optimizer galore -o m.slt none.slt
    [ "$status" -eq 1 ] || [ "$status" -eq 2 ]
    [[ $output == *"has none to train"* ]]
    slt-train "${TRAIN[@]}" --steps 6 --relora-every 3 -o m.slt "$DATA/relora.slt"
    slt-info --check m.slt
}

@test "generation, quantized weights and a merged model say what the model says" {
    slt-generate --prompt "The " --max-tokens 20 --temperature 0 "$DATA/trained.slt" >said
    [ "$(wc -c <said)" -gt 10 ]
    loss=$(loss_of "$DATA/trained.slt")
    near "$loss" "$(slt-eval --data "$DATA/valid.tok" --seq 32 --batch 4 --limit 2000 --route dense "$DATA/trained.slt" | value_of loss)" 1e-5
    slt-quantize --type int8 "$DATA/trained.slt" -o q.slt
    slt-info --check q.slt
    near "$loss" "$(loss_of q.slt)" 0.05
    slt-quantize --dequantize q.slt -o d.slt
    [ "$(loss_of q.slt)" = "$(loss_of d.slt)" ]
    slt-convert --to hf --merge -o merged "$DATA/trained.slt"
    near "$loss" "$(loss_of merged)" 1e-5
    ! grep -q layers\" merged/config.json
    grep -q '| but for layers | 1:qkv,down:rank=13 |' merged/README.md
    slt-convert --to gguf --merge -o m.gguf "$DATA/trained.slt"
    run slt-convert --to reference -o reference "$DATA/trained.slt"
    [ "$status" -ne 0 ]
    [[ $output == *"layers that differ have no place in that layout: merge them"* ]]
}

@test "decomposed from a trained model, and its spectra at each linear's own rank" {
    slt-train "${TRAIN[@]}" --steps 10 -o full.slt <(slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method full)
    slt-init --from full.slt --rank 32 --density 1 --dense-layers 0 --layer '1:o:rank=5' -o same.slt
    near "$(loss_of full.slt)" "$(loss_of same.slt)" 1e-5
    slt-svd-inspect --json "$DATA/trained.slt" >json
    tr -d ' \n' <json | grep -q '"name":"model.layers.1.self_attn.q_proj"[^{]*"rank":13'
    tr -d ' \n' <json | grep -q '"name":"model.layers.2.self_attn.o_proj"[^{]*"rank":2'
}
