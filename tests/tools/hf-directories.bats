# Hugging Face directories: as models for every tool, as tokenizers, and whole when slt-convert writes them.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_text text
    mkdir tokenizer
    slt-tokenize --train-tokenizer tokenizer/tokenizer.model --vocab-size 512 --document blank -o x.tok text
    printf '%s\n' '{"vocab_size": 7, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,' \
        '"num_attention_heads": 2, "rms_norm_eps": 1e-6}' >tiny.json
    slt-init --config tiny.json --tokenizer tokenizer --method full --no-provenance -o new.slt
    slt-train --data x.tok --batch 2 --seq 24 --steps 4 --no-provenance -o plain.slt new.slt
    # The same with more tokens, as directories of chat models have them.
    cp -r tokenizer chat
    printf '{"<|im_start|>": 512, "<|im_end|>": 513, "[note]": 515}' >chat/added_tokens.json
    printf '%s\n' '{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": {"content": "<|im_end|>"},' \
        '"additional_special_tokens": ["<|im_start|>"], "add_bos_token": true}' >chat/tokenizer_config.json
    slt-tokenize --tokenizer chat --document blank --valid-output valid.tok --valid-fraction 0.1 -o train.tok text
    slt-init --config tiny.json --tokenizer chat --method full --no-provenance -o new.slt
    slt-train --data train.tok --batch 2 --seq 24 --steps 4 --no-provenance -o chat.slt new.slt
    slt-convert -o hf chat.slt
    # As other programs leave it.
    mkdir model
    cp hf/config.json hf/model.safetensors chat/* model
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
}

# The ids of a document: tokens of its file, without EOS.
ids() { # TOKENIZER TEXT
    printf %s "$2" >text.in
    slt-tokenize -q --tokenizer "$1" -o ids.tok text.in
    tail -c +65 ids.tok | head -c $((2 * ($(slt-info ids.tok | value_of tokens) - 1))) | od -An -v -tu2 | tr -s ' \n' ' '
}

# A checkpoint with another tokenizer in it, whole again.
with_tokenizer() { # MODEL TOKENIZER OUTPUT
    mkdir unpacked && tar -xf "$1" -C unpacked && cp "$2" unpacked/tokenizer.model
    (cd unpacked && sha256sum config.json tokenizer.model model.safetensors >MANIFEST.sha256 &&
        tar --format=pax -cf - config.json tokenizer.model model.safetensors MANIFEST.sha256) >"$3"
}

@test "every tool that takes a checkpoint takes the directory, as slt-convert would make it one" {
    slt-convert -o same.slt "$DATA/model"
    cmp <(slt-info --json "$DATA/model") <(slt-info --json same.slt)
    slt-info --check "$DATA/model"
    cmp <(slt-eval --data "$DATA/valid.tok" --seq 24 "$DATA/model") <(slt-eval --data "$DATA/valid.tok" --seq 24 same.slt)
    cmp <(slt-generate --temperature 0 --max-tokens 20 --prompt 'It was' "$DATA/model") \
        <(slt-generate --temperature 0 --max-tokens 20 --prompt 'It was' same.slt)
    cmp <(slt-quantize --type int8 "$DATA/model") <(slt-quantize --type int8 same.slt)
    cmp <(slt-init --from "$DATA/model" --method lowrank --rank 4) <(slt-init --from same.slt --method lowrank --rank 4)
    cmp <(slt-svd-inspect "$DATA/model") <(slt-svd-inspect same.slt)
    cmp <(slt-train --data "$DATA/train.tok" --batch 2 --seq 24 --steps 2 "$DATA/model") \
        <(slt-train --data "$DATA/train.tok" --batch 2 --seq 24 --steps 2 same.slt)
    cmp <(slt-plan --config "$DATA/model") <(slt-plan --config "$DATA/model/config.json")
    cmp <(slt-convert --to gguf "$DATA/model") <(slt-convert --to gguf same.slt)
    slt-convert --to hf -o one "$DATA/model"
    slt-convert -o two same.slt
    diff -r one two
    run slt-convert --to hf -o ./one one
    [ "$status" -eq 2 ]
    [ -e one/config.json ]
    # What is missing in it is said as of a file.
    cp -r "$DATA/model" cut
    head -c 3000 "$DATA/model/model.safetensors" >cut/model.safetensors
    for tool in "slt-eval --data $DATA/valid.tok" slt-generate "slt-quantize --type int8" slt-info; do
        # shellcheck disable=SC2086 # several words
        run $tool cut
        [ "$status" -eq 1 ]
        [[ $output == *model.safetensors* ]]
    done
}

@test "a directory without weights that are read is said to be so, by every tool as by slt-convert" {
    mkdir pickled empty adapter other
    cp "$DATA/model/config.json" pickled
    cp "$DATA/model/config.json" empty
    touch pickled/pytorch_model.bin adapter/adapter_config.json other/weights
    for dir in pickled empty adapter other; do
        run slt-convert -o x.slt $dir
        [ "$status" -eq 1 ]
        want=${output#*: }
        [ $dir != other ] || want="cannot read 'other': Is a directory"
        for tool in "slt-eval --data $DATA/valid.tok" slt-generate "slt-quantize --type int8" slt-info \
            "slt-init --method lowrank -r 4 --from" "slt-train --data $DATA/train.tok --steps 1" slt-svd-inspect "slt-convert --to gguf"; do
            # shellcheck disable=SC2086 # several words
            run $tool $dir
            echo "$tool $dir: $output"
            [ "$status" -eq 1 ]
            [ "${output#*: }" = "$want" ]
        done
    done
}

@test "added tokens: their ids in prompts and documents, EOS in no document" {
    [ "$(ids "$DATA/chat" '<|im_start|>a[note]')" = "$(printf ' 512%s515 ' "$(ids "$DATA/tokenizer" a)")" ]
    [[ $(ids "$DATA/chat" 'a<|im_end|>b') != *513* ]]
    [ "$(slt-info "$DATA/train.tok" | value_of eos)" = 513 ]
    [ "$(slt-info "$DATA/chat.slt" | value_of config.eos_token_id)" = 513 ]
    [ "$(slt-info "$DATA/chat.slt" | value_of config.vocab_size)" = 516 ]
    # Other text has the model's own ids.
    cmp <(slt-tokenize -q --tokenizer "$DATA/chat" "$DATA/text" | tail -c +65 | head -c 20000) \
        <(slt-tokenize -q --tokenizer "$DATA/tokenizer" "$DATA/text" | tail -c +65 | head -c 20000)
    for bos in yes:4 no:3; do
        slt-generate -v --bos ${bos%:*} --temperature 0 --max-tokens 1 --prompt '<|im_start|>[note]<|im_end|>' "$DATA/chat.slt" >out 2>err
        grep -q "1 tokens after a prompt of ${bos#*:}" err
    done
    [ "$(head -c 6 out)" = '[note]' ]
}

@test "added tokens go into GGUF and into the directory, and come back" {
    slt-convert --to gguf -o model.gguf "$DATA/chat.slt"
    for token in '<|im_start|>' '<|im_end|>' '[note]' '[PAD514]'; do
        grep -aqF "$token" model.gguf
        grep -qF "\"$token\"" "$DATA/hf/tokenizer.json"
    done
    grep -q '"eos_token": "<|im_end|>"' "$DATA/hf/tokenizer_config.json"
    cmp "$DATA/hf/tokenizer.model" "$DATA/tokenizer/tokenizer.model"
    slt-convert --no-provenance "$DATA/hf" | cmp - "$DATA/chat.slt"
    slt-convert --no-provenance "$DATA/model" | cmp - "$DATA/chat.slt"
    # The original model file is the tokenizer of what only says how BOS is used.
    cp -r "$DATA/tokenizer" .
    printf '{"add_bos_token": true, "eos_token": "</s>"}' >tokenizer/tokenizer_config.json
    slt-init --config "$DATA/tiny.json" --tokenizer tokenizer --method full -o bos.slt
    slt-eval --data "$DATA/x.tok" --seq 24 --limit 100 bos.slt
}

@test "that only the first text has a space before it goes there and back" {
    need_shared data/tokenizers/llama/tokenizer.model
    mkdir dir
    cp "$SLT_SHARED/data/tokenizers/llama/tokenizer.model" dir
    printf '{"<|user|>": 32000}' >dir/added_tokens.json
    for legacy in true false; do
        printf '{"tokenizer_class": "LlamaTokenizer", "legacy": %s}' $legacy >dir/tokenizer_config.json
        slt-init --config "$DATA/tiny.json" --tokenizer dir --method full --no-provenance -o $legacy.slt
        slt-convert -o $legacy $legacy.slt
        slt-convert --no-provenance $legacy | cmp - $legacy.slt
    done
    [ "$(ids true '<|user|>hi')" = ' 32000 7251 ' ]
    [ "$(ids false '<|user|>hi')" = ' 32000 2918 ' ]
    # llama.cpp has no word for it, which is said.
    run slt-convert --to gguf -o x.gguf false.slt
    [ "$status" -eq 0 ]
    [[ $output == *"llama.cpp puts a space before text behind an added token"* ]]
    run slt-convert --to gguf -o x.gguf true.slt
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "what stands around a text is as the source says" {
    flag() { grep -abo "$1" "$2" | head -n 1 | cut -d: -f 1; }
    value() { tail -c +$(($(flag "$1" "$2") + ${#1} + 5)) "$2" | head -c 1 | od -An -tu1 | tr -d ' '; }
    slt-convert --to gguf -o chat.gguf "$DATA/chat.slt"
    slt-convert --to gguf -o plain.gguf "$DATA/plain.slt"
    [ "$(value tokenizer.ggml.add_bos_token chat.gguf)" = 1 ]
    [ "$(value tokenizer.ggml.add_eos_token chat.gguf)" = 0 ]
    [ "$(value tokenizer.ggml.add_bos_token plain.gguf)" = 0 ]
    grep -q '"add_bos_token": true' "$DATA/hf/tokenizer_config.json"
    grep -q '"TemplateProcessing"' "$DATA/hf/tokenizer.json"
}

@test "a tokenizer that is larger than the model is refused, in a directory and in a checkpoint" {
    slt-convert -o hf "$DATA/plain.slt"
    slt-tokenize --train-tokenizer large.model --vocab-size 520 --document blank -o x.tok "$DATA/text"
    cp large.model hf/tokenizer.model
    with_tokenizer "$DATA/plain.slt" large.model large.slt
    for wrong in "slt-convert -o x.slt hf" "slt-generate hf" "slt-convert --to gguf -o x.gguf large.slt" \
        "slt-convert -o x large.slt" "slt-generate --prompt a large.slt" "slt-init --from large.slt -r 4 -o x.slt" \
        "slt-convert --tokenizer large.model -o x.slt $DATA/hf"; do
        # shellcheck disable=SC2086 # several words
        run $wrong
        echo "$wrong: $output"
        [ "$status" -eq 1 ]
        [[ $output == *"the tokenizer has 520 tokens, the model rows for 51"[26]" only" ]]
        [ ! -e x.slt ] && [ ! -e x.gguf ] && [ ! -e x ]
    done
}

@test "lists of EOS are kept and end what is generated, wherever they are said" {
    cp -r "$DATA/model" .
    sed -i 's/"eos_token_id": 513/"eos_token_id": [513, 7]/' model/config.json
    printf '{"eos_token_id": [7, 9]}' >model/generation_config.json
    slt-convert --no-provenance -o list.slt model
    tar -xOf list.slt config.json | tr -d ' \n' | grep -q '"eos_token_id":\[513,7,9\]'
    slt-convert -o hf list.slt
    tr -d ' \n' <hf/generation_config.json | grep -q '"eos_token_id":\[513,7,9\]'
    slt-convert --no-provenance hf | cmp - list.slt
    slt-convert --to gguf list.slt | grep -aq tokenizer.ggml.eot_token_id
    # The token that comes first becomes a further end.
    slt-generate --temperature 0 --max-tokens 1 --prompt a "$DATA/chat.slt" | tail -c +2 | head -c -1 >next
    id=$(ids "$DATA/chat" "$(cat next)" | tr -d ' ')
    printf '{"eos_token_id": %d}' "$id" >model/generation_config.json
    run slt-generate -v --temperature 0 --max-tokens 5 --prompt a model
    [[ $output == *"0 tokens after"* ]] || skip "the next token is not what its text is encoded as"
    printf '{"eos_token_id": 600}' >model/generation_config.json
    run slt-convert -o x.slt model
    [ "$status" -ne 0 ]
    [[ $output == *generation_config.json* ]]
}

@test "where config.json names no EOS, tokenizer_config.json does, then generation_config.json, then the tokenizer" {
    cp -r "$DATA/model" .
    eos() { slt-convert -o x.slt model 2>err; slt-info x.slt | value_of config.eos_token_id; }
    sed -i 's/"eos_token_id": 513/"eos_token_id": null/' model/config.json
    printf '{"eos_token_id": [7, 513]}' >model/generation_config.json
    [ "$(eos)" = '[513,7]' ]
    printf '{"eos_token_id": 7}' >model/generation_config.json
    [ "$(eos)" = 513 ]
    grep -q 'generation_config.json ends texts with token 7, the model with 513' err
    rm model/tokenizer_config.json
    [ "$(eos)" = 7 ]
    rm model/generation_config.json
    [ "$(eos)" = 2 ]
}

@test "an EOS that differs between model, tokenizer and token file is said" {
    cp -r "$DATA/model" .
    sed -i 's/"eos_token_id": 513/"eos_token_id": 2/' model/config.json
    run slt-convert -o two.slt model
    [ "$status" -eq 0 ]
    [[ $output == *"the tokenizer ends documents with token 513, the model with 2"* ]]
    run slt-eval --data "$DATA/valid.tok" --seq 24 two.slt
    [ "$status" -eq 0 ]
    [[ $output == *"the documents of the token file end with token 513, those of the model with 2"* ]]
    run slt-eval -q --data "$DATA/valid.tok" --seq 24 two.slt
    [[ $output != *"token file"* ]]
}

@test "special tokens without an id, and a tokenizer.json with other spaces, are said" {
    cp -r "$DATA/model" .
    sed -i 's/"add_bos_token"/"pad_token": "[P\\u001bAD]", &/' model/tokenizer_config.json
    printf '{"model": {}, "normalizer": {"type": "Prepend"}}' >yes.json
    printf '{"model": {}, "normalizer": null}' >no.json
    said=0
    for json in yes no; do
        cp $json.json model/tokenizer.json
        for tool in "slt-convert -o x.slt" slt-info; do
            $tool model >/dev/null 2>err
            grep -q "^slt-[a-z]*: 'model': the special token '\[P?AD\]' has no id and is text here$" err
        done
        said=$((said + $(grep -c "'model': tokenizer.model puts .* space before a text, the tokenizer.json beside it does" err || true)))
        cmp <(tar -xOf x.slt tokenizer.model) <(tar -xOf "$DATA/chat.slt" tokenizer.model)
    done
    [ $said -eq 1 ]
}

@test "GPT-2's vocab.json and merges.txt, in a directory and by name" {
    JSON=$ROOT/tests/vectors/tokenizer-bytes.json
    # One piece, or one part of a pair, in a line there.
    { echo '{'; sed -n '/^ *"vocab": {/,/^ *"merges"/p' "$JSON" | sed '1d; $d' | sed '$d'; echo '}'; } >vocab.json
    { echo '#version: 0.2'; sed -n '/^ *"merges": \[/,$p' "$JSON" | grep '^        "' |
        sed -E 's/^ *"(.*)",?$/\1/; s/\\(.)/\1/g' | paste -d ' ' - -; } >merges.txt
    [ "$(wc -l <merges.txt)" -gt 100 ]
    slt-tokenize --tokenizer "$JSON" --document blank -o whole.tok "$DATA/text"
    slt-tokenize --tokenizer . --document blank -o parts.tok "$DATA/text"
    slt-tokenize --tokenizer vocab.json --document blank -o named.tok "$DATA/text"
    cmp parts.tok named.tok
    bytes=$(slt-info whole.tok | value_of tokens)
    cmp <(tail -c +65 whole.tok | head -c $((2 * bytes))) <(tail -c +65 parts.tok | head -c $((2 * bytes)))
    slt-init --config "$DATA/tiny.json" --tokenizer . --method full -o model.slt
    slt-convert -o hf model.slt
    slt-tokenize --tokenizer hf --document blank -o again.tok "$DATA/text"
    cmp again.tok parts.tok
    rm merges.txt
    run slt-tokenize --tokenizer . -o x "$DATA/text"
    [ "$status" -eq 1 ]
    [[ $output == *"has no tokenizer"* ]]
}

@test "a directory that is written is complete, and one that is not has no config.json" {
    slt-convert -o hf "$DATA/plain.slt"
    for file in README.md config.json generation_config.json model.safetensors special_tokens_map.json tokenizer.json \
        tokenizer.model tokenizer_config.json; do
        [ -s hf/$file ]
    done
    [ "$(find hf -type f | wc -l)" -eq 8 ]
    grep -q '"tokenizer_class": "PreTrainedTokenizerFast"' hf/tokenizer_config.json
    grep -q '"model_max_length": 2048' hf/tokenizer_config.json
    tr -d ' \n' <hf/tokenizer_config.json | grep -q '"model_input_names":\["input_ids","attention_mask"\]'
    grep -q '"split_special_tokens": true' hf/tokenizer_config.json
    [ "$(head -n 1 hf/README.md)" = --- ]
    slt-init --preset nano --tokenizer "$DATA/tokenizer" -o sparse.slt
    slt-convert --merge -o merged sparse.slt
    grep -q '| linears | sltrain, rank 32, alpha .*, support random, merged into one matrix each |' merged/README.md
    grep -q '"tool":"slt-init"' merged/README.md
    slt-train --data "$DATA/x.tok" --steps 3 --batch 2 --seq 8 -o trained.slt sparse.slt
    slt-convert --merge -o merged trained.slt
    grep -qx '| trained for | 3 steps of 2 sequences of 8 tokens, 48 in all |' merged/README.md
    # Cut in the middle, into the place of a model that was whole; its tokenizer is not left behind either.
    head -c $(($(wc -c <"$DATA/plain.slt") / 2)) "$DATA/plain.slt" >cut.slt
    run slt-convert -o hf cut.slt
    [ "$status" -eq 1 ]
    [ ! -e hf/config.json ]
    slt-init --config "$DATA/tiny.json" --tokenizer "$ROOT/tests/vectors/tokenizer-bytes.json" --method full -o json.slt
    slt-convert -o hf json.slt
    [ ! -e hf/tokenizer.model ]
    slt-convert -o back.slt hf
    cmp <(tar -xOf back.slt tokenizer.json) "$ROOT/tests/vectors/tokenizer-bytes.json"
    # Where a text gets a space, both files say so.
    run grep -c add_prefix_space hf/tokenizer_config.json
    [ "$output" = 0 ]
    sed 's/"add_prefix_space": false/"add_prefix_space": true/' "$ROOT/tests/vectors/tokenizer-bytes.json" >space.json
    slt-init --config "$DATA/tiny.json" --tokenizer space.json --method full -o json.slt
    slt-convert -o hf json.slt
    grep -q '"add_prefix_space": true' hf/tokenizer_config.json
    slt-convert -o back.slt hf
    cmp <(tar -xOf back.slt tokenizer.json) space.json
}

@test "directories and tokenizers of others: added tokens, a vocabulary that is too small, T5's" {
    need_shared data/tokenizers/t5/spiece.model
    T5=$SLT_SHARED/data/tokenizers/t5
    slt-init --config "$DATA/tiny.json" --tokenizer "$T5/spiece.model" --method full -o t5.slt
    slt-convert --to gguf -o t5.gguf t5.slt
    grep -aq 'tokenizer.ggml.model.*t5' t5.gguf
    grep -aq 'tokenizer.ggml.precompiled_charsmap' t5.gguf
    slt-convert -o hf t5.slt
    grep -q '"type":"Precompiled"' hf/tokenizer.json
    slt-convert -o back.slt hf
    cmp <(tar -xOf back.slt tokenizer.model) "$T5/spiece.model"
    # Of the directory there are a hundred more.
    slt-init --config "$DATA/tiny.json" --tokenizer "$T5" --method full -o more.slt
    [ "$(slt-info more.slt | value_of config.vocab_size)" = 32100 ]
    [ "$(ids "$T5" '<extra_id_0>')" = ' 32099 ' ]
    need_shared cases/added-tokens/tokenizer.model
    [ "$(ids "$SLT_SHARED/cases/added-tokens" '<|im_start|>hi')" = ' 400 292 ' ]
    slt-convert --to gguf "$SLT_SHARED/cases/added-tokens" | grep -aqF '<|im_end|>'
    run slt-convert -o x.slt "$SLT_SHARED/cases/vocab-less"
    [ "$status" -eq 1 ]
    [[ $output == *"400 tokens, the model rows for 390 only" ]]
}
