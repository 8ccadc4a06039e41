# slt-convert: there and back, merged, in half the bytes, sharded, and in the layout of the published code.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    sed 's/"num_att/"num_key_value_heads": 1, "rope_theta": 5000, "num_att/; s/1e-6/1e-5/' tiny.json >grouped.json
    slt-init --config grouped.json --tokenizer spm.model --method full --no-provenance -o new.slt
    slt-train --data train.tok --batch 2 --seq 24 --steps 4 --no-provenance -o full.slt new.slt
    for method in lowrank sltrain relora; do
        slt-init --from full.slt --method $method --rank 8 --no-provenance -o $method.slt
    done
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
}

loss() { slt-eval --data "$DATA/valid.tok" --seq 24 --limit 1000 "$1" | value_of loss | grep . || echo "no loss of $1"; }
near() { awk -v a="$1" -v b="$2" -v limit="$3" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < (limit * a) ^ 2) }'; }

@test "a full-rank model goes there and back to the same tensors, configuration and tokenizer" {
    slt-convert -o hf "$DATA/full.slt"
    cmp hf/tokenizer.model "$DATA/spm.model"
    slt-convert --no-provenance hf >back.slt
    slt-info --check back.slt
    for part in config.json model.safetensors tokenizer.model; do
        cmp <(tar -xOf back.slt $part) <(tar -xOf "$DATA/full.slt" $part)
    done
    cat "$DATA/full.slt" | slt-convert -o piped -
    cmp piped/model.safetensors hf/model.safetensors
}

@test "merged, every method has its loss" {
    for method in full lowrank sltrain relora; do
        slt-convert --merge -o $method "$DATA/$method.slt"
        slt-convert -o $method.slt $method
        [ "$(slt-info $method.slt | value_of config.slt.method)" = full ]
        near "$(loss "$DATA/$method.slt")" "$(loss $method.slt)" 1e-5
    done
}

@test "in f16 and bf16: half the bytes, nearly the loss, and no change the second time" {
    slt-convert -o f32 "$DATA/full.slt"
    for type in f16 bf16; do
        slt-convert --dtype $type -o $type "$DATA/full.slt"
        [ $(($(wc -c <$type/model.safetensors) * 10)) -lt $(($(wc -c <f32/model.safetensors) * 6)) ]
        slt-convert -o $type.slt $type
        near "$(loss "$DATA/full.slt")" "$(loss $type.slt)" 2e-3
        slt-convert --dtype $type -o again $type.slt
        cmp again/model.safetensors $type/model.safetensors
        cmp again/config.json $type/config.json
    done
    grep -q '"torch_dtype": "bfloat16"' bf16/config.json
}

@test "the published layout: positions in any order, alpha and density from the command line" {
    slt-convert --to reference -o reference "$DATA/sltrain.slt"
    slt-convert -o back.slt reference
    [ "$(loss back.slt)" = "$(loss "$DATA/sltrain.slt")" ]
    # Without our own object in config.json they must be given.
    sed -i '/"slt": {/,/}/d; s/"torch_dtype": "float32",/"torch_dtype": "float32"/' reference/config.json
    run slt-convert -o x.slt reference
    [ "$status" -eq 2 ]
    [[ $output == *"does not say its alpha"* ]]
    run slt-convert --alpha 2 --density 0.5 -o x.slt reference
    [ "$status" -eq 2 ]
    [[ $output == *sparse*shape* ]]
    [ ! -e x.slt ]
    slt-convert --alpha 2 --density 0.03 -o given.slt reference
    [ "$(loss given.slt)" = "$(loss "$DATA/sltrain.slt")" ]
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --support block:4x4 --rank 4 -o block.slt
    run slt-convert --to reference -o block block.slt
    [ "$status" -eq 2 ]
}

@test "several files, as an index names them" {
    slt-convert -o hf "$DATA/full.slt"
    slt-convert --no-provenance -o one.slt hf
    mkdir two
    cp hf/config.json hf/tokenizer.model two
    mv hf/model.safetensors two/model-00001-of-00001.safetensors
    printf '{"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}' >two/model.safetensors.index.json
    slt-convert --no-provenance two | cmp - one.slt
    printf '{"metadata": {"total_size": 1e999, "x": [NaN, 99999999999999999999]}, "weight_map": %s' \
        '{"\ud800": "model-00001-of-00001.safetensors"}}' >two/model.safetensors.index.json
    slt-convert --no-provenance two | cmp - one.slt
    printf '{"weight_map": {"model.norm.weight": "../hf/model.safetensors"}}' >two/model.safetensors.index.json
    run slt-convert -o x.slt two
    [ "$status" -eq 1 ]
    # Beside a model.safetensors an index is left over, and not looked at.
    mv two/model-00001-of-00001.safetensors two/model.safetensors
    slt-convert --no-provenance two | cmp - one.slt
}

@test "a file of llama2.c is the same model as the directory of it" {
    need_shared data/weights/stories260K/stories260K.bin
    slt-convert --no-provenance -o a.slt "$SLT_SHARED/data/weights/stories260K/stories260K.bin"
    slt-convert --no-provenance -o b.slt "$SLT_SHARED/data/weights/stories260K"
    cmp a.slt b.slt
    head -c 500000 "$SLT_SHARED/data/weights/stories260K/stories260K.bin" >cut.bin
    run slt-convert -o x cut.bin
    [ "$status" -eq 1 ]
}

@test "GGUF: its header, its tensors where the header says, the tokenizer inside, and to a pipe" {
    slt-convert --to gguf -o model.gguf "$DATA/sltrain.slt"
    slt-convert --to gguf "$DATA/sltrain.slt" | cmp - model.gguf
    number() { od -An -t "u$2" -j "$1" -N "$2" model.gguf | tr -d ' '; }
    [ "$(head -c 4 model.gguf)" = GGUF ]
    [ "$(number 4 4)" -eq 3 ]
    [ "$(number 8 8)" -eq 21 ]
    [ "$(number 16 8)" -gt 20 ]
    grep -aq 'tokenizer.ggml.tokens' model.gguf
    # The embedding is the first tensor, and the data is the end of the file, each tensor padded to 32 bytes.
    slt-convert --merge -o hf "$DATA/sltrain.slt"
    [ $(($(wc -c <model.gguf) % 32)) -eq 0 ]
    read -r _ at bytes <<<"$(tail -c +9 hf/model.safetensors | head -c "$(od -An -t u8 -N 8 hf/model.safetensors | tr -d ' ')" |
        grep -o '"model.embed_tokens.weight":{"dtype[^}]*}' | sed -E 's/.*\[([0-9]+), *([0-9]+)\].*/x \1 \2/')"
    bytes=$((bytes - at)) at=$((at + 8 + $(od -An -t u8 -N 8 hf/model.safetensors | tr -d ' ')))
    data=$(grep -abo "$(printf 'blk.1.ffn_down.weight')" model.gguf | head -n 1 | cut -d: -f 1)
    [ "$data" -gt 0 ]
    [ "$bytes" -eq $((512 * 32 * 4)) ]
    total=$(slt-info "$DATA/full.slt" | value_of parameters)
    start=$(($(wc -c <model.gguf) - 4 * total)) # all tensors are multiples of 32 bytes here
    cmp <(tail -c +$((start + 1)) model.gguf | head -c "$bytes") <(tail -c +$((at + 1)) hf/model.safetensors | head -c "$bytes")
    for type in f16 bf16 q8_0; do
        slt-convert --to gguf --dtype $type -o small.gguf "$DATA/sltrain.slt"
        [ "$(wc -c <small.gguf)" -lt $(($(wc -c <model.gguf) * 2 / 3)) ]
    done
    run slt-convert --dtype q8_0 -o x "$DATA/full.slt"
    [ "$status" -eq 2 ]
}

@test "what cannot be looked up is not absent, and a pipe is opened once" {
    slt-convert -o hf "$DATA/full.slt"
    # Links to themselves stand for what may be there but cannot be reached.
    mv hf/tokenizer.model .
    ln -s tokenizer.model hf/tokenizer.model
    run slt-convert -o back.slt hf
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"tokenizer.model"* ]]
    rm hf/tokenizer.model
    mv tokenizer.model hf
    mv hf/model.safetensors .
    ln -s model.safetensors.index.json hf/model.safetensors.index.json
    run slt-convert -o back.slt hf
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"model.safetensors.index.json"* ]]
    mv model.safetensors hf
    mkfifo pipe
    cat "$DATA/full.slt" >pipe &
    timeout 20 slt-convert -o piped pipe
    wait $!
    cmp piped/model.safetensors hf/model.safetensors
}

@test "what is not there, and what is known and not read, is named" {
    refused() { # SENTENCE ARGUMENT...
        run slt-convert "${@:2}"
        echo "$output"
        [ "$status" -eq 1 ]
        [ "$output" = "slt-convert: $1" ]
        [ ! -e x.slt ]
    }
    for how in "" "-o x.slt" "--to slt" "--to gguf"; do
        # shellcheck disable=SC2086 # several words
        refused "cannot open 'nodir': No such file or directory" $how nodir
    done
    mkdir pickled adapter encoder
    printf '{"vocab_size": 32, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4}' \
        >pickled/config.json
    printf 'PK\003\004 and whatever else is in there' >pickled/pytorch_model.bin
    refused "'pickled' has its weights in 'pytorch_model.bin', a pickle, which is not read: load the model in transformers and save it as safetensors" \
        -o x.slt pickled
    mv pickled/pytorch_model.bin pickled/pytorch_model.bin.index.json
    refused "'pickled' has its weights in 'pytorch_model.bin.index.json', a pickle, which is not read: load the model in transformers and save it as safetensors" \
        -o x.slt pickled
    refused "'pickled/pytorch_model.bin.index.json' is a pickle of PyTorch, which is not read: load the model in transformers and save it as safetensors" \
        pickled/pytorch_model.bin.index.json
    # One that has both is read.
    slt-convert -o hf "$DATA/full.slt"
    printf 'PK\003\004 and whatever else is in there' >hf/pytorch_model.bin
    echo '{}' >hf/adapter_config.json
    slt-convert -o both.slt hf
    echo '{"peft_type": "LORA"}' >adapter/adapter_config.json
    cp hf/model.safetensors adapter/adapter_model.safetensors
    refused "'adapter' is a PEFT adapter without its base model: merge them in Python (merge_and_unload) and save the result" \
        -o x.slt adapter
    for type in bert roberta; do
        echo "{\"model_type\": \"$type\", \"hidden_act\": \"gelu\", \"vocab_size\": 30522, \"layer_norm_eps\": 1e-12}" >encoder/config.json
        cp hf/model.safetensors encoder
        echo '{"version": "1.0", "model": {"type": "WordPiece", "vocab": {"a": 0}}}' >encoder/tokenizer.json
        refused "'encoder/config.json': \"model_type\" is \"$type\", and only LLaMA models (\"llama\") are supported" -o x.slt encoder
    done
    refused "'hf/model.safetensors' is a safetensors file: give its directory, which has config.json" -o x.slt hf/model.safetensors
    slt-convert --to gguf -o m.gguf "$DATA/full.slt"
    refused "'m.gguf' is a GGUF file, which is written, not read" -o x.slt m.gguf
}

@test "tensors beside the model's are named, and so are wrapped names, once" {
    slt-convert -o hf "$DATA/full.slt"
    slt-convert --no-provenance -o want.slt hf
    size=$(od -An -t u8 -N 8 hf/model.safetensors | tr -d ' ')
    # HEADER: the file with this text for its header, and four bytes more of data.
    with_header() {
        printf '%b' "$(printf '%016x' "${#1}" | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\\x\8\\x\7\\x\6\\x\5\\x\4\\x\3\\x\2\\x\1/')"
        printf '%s' "$1"
        tail -c +$((9 + size)) hf/model.safetensors
        printf 'abcd'
    }
    header=$(tail -c +9 hf/model.safetensors | head -c "$size" | sed 's/} *$//')
    end=$(($(wc -c <hf/model.safetensors) - 8 - size))
    mkdir more
    cp hf/config.json hf/tokenizer.model more
    with_header "$header,\"mask\u001b[1m\":{\"dtype\":\"BOOL\",\"shape\":[1,1,1,2,2],\"data_offsets\":[$end,$((end + 4))]}}" >more/model.safetensors
    slt-convert --no-provenance -o more.slt more 2>err
    cmp more.slt want.slt
    [ "$(cat err)" = "slt-convert: tensor 'mask?[1m' is not of this model, and left out" ]
    with_header "$(sed 's/"\(model\|lm_head\)\./"module._orig_mod.\1./g' <<<"$header"),\"e\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[$end,$((end + 4))]}}" >more/model.safetensors
    slt-convert --no-provenance -o more.slt more 2>err
    cmp more.slt want.slt
    grep -qxF "slt-convert: tensors have other names: 'module._orig_mod.lm_head.weight' is taken as 'lm_head.weight', and so on" err
    grep -qxF "slt-convert: tensor 'e' is not of this model, and left out" err
    [ "$(wc -l <err)" -eq 2 ]
    slt-convert -q --no-provenance -o more.slt more 2>err
    [ ! -s err ]
}

@test "what is missing, damaged or does not fit is refused" {
    slt-convert -o hf "$DATA/full.slt"
    for wrong in "hf --merge" "--to hf hf" "--to slt $DATA/full.slt" "$DATA/full.slt" "-o x $DATA/sltrain.slt" \
        "--to reference -o x $DATA/relora.slt" "--alpha 1 -o x $DATA/full.slt"; do
        # shellcheck disable=SC2086 # several words
        run slt-convert $wrong
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
    done
    run slt-convert -o x.slt /nonexistent
    [ "$status" -eq 1 ]
    [[ $output == *"cannot open '/nonexistent'"* ]]
    sed 's/"hidden_size": 32/"hidden_size": 64/; s/"head_dim": [0-9]*/"head_dim": 32/' hf/config.json >c && cp c hf/config.json
    run slt-convert -o x.slt hf
    [ "$status" -eq 1 ]
    [[ $output == *"shape"* ]]
    head -c 3000 hf/model.safetensors >s && cp s hf/model.safetensors
    run slt-convert -o x.slt hf
    [ "$status" -eq 1 ]
    [ ! -e x.slt ]
}
