# Hugging Face's tokenizer.json through the programs: text that comes back, a model that carries it, other formats, refusals.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    JSON=$ROOT/tests/vectors/tokenizer-bytes.json
    make_text text
    slt-tokenize --tokenizer "$JSON" --document blank --valid-output valid.tok --valid-fraction 0.1 -o train.tok text
    printf '%s\n' '{"vocab_size": 7, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,' \
        '"num_attention_heads": 2, "rms_norm_eps": 1e-6}' >tiny.json
    slt-init --config tiny.json --tokenizer "$JSON" --method full --no-provenance -o init.slt
    slt-train --data train.tok --batch 2 --seq 24 --steps 3 --no-provenance -o model.slt init.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    JSON=$ROOT/tests/vectors/tokenizer-bytes.json
}

@test "what is encoded comes back byte for byte, on any number of threads" {
    printf 'tabs\tand  runs   of\n\n\nnewlines \r\n caf\303\251 \360\237\230\200 \342\202\254 \001\002 end  ' >odd
    for text in "$DATA/text" odd; do
        slt-tokenize --tokenizer "$JSON" --threads 1 -o a.tok "$text"
        slt-tokenize --tokenizer "$JSON" --threads 3 -o b.tok "$text"
        cmp a.tok b.tok
        slt-tokenize --tokenizer "$JSON" --decode a.tok | cmp - "$text"
    done
    [ "$(slt-info a.tok | value_of eos)" = 0 ]
}

@test "texts of added tokens come back, special ones too, and what stands around them" {
    # The same text to a byte-level tokenizer, one with byte fallback, and a SentencePiece model of a directory.
    mkdir spm byte fall
    slt-tokenize -q --train-tokenizer spm/tokenizer.model --vocab-size 400 --document blank -o a.tok "$DATA/text"
    echo '{"<|im_start|>": 400, "<|im_end|>": 401}' >spm/added_tokens.json
    printf '%s\n' '{"tokenizer_class": "LlamaTokenizer", "legacy": false, "eos_token": "<|im_end|>"}' >spm/tokenizer_config.json
    sed 's/"added_tokens": *\[/&{"id": 5000, "content": "<|im_start|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},/' \
        "$JSON" >byte/tokenizer.json
    sed 's/"added_tokens": *\[/&{"id": 5000, "content": "<|im_start|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},/' \
        "$ROOT/tests/vectors/tokenizer-spaces.json" >fall/tokenizer.json
    printf '%s\n' 'a<|im_start|>user said <|im_start|> <|im_start|><|im_start|>so  on.' '' '<|im_start|>' \
        'ends<|im_start|>' 'the end<|im_end|> is text' 'x<|im_start|>y' >lines
    for dir in spm byte fall; do
        echo "$dir"
        slt-tokenize -t $dir --document line -o a.tok lines
        slt-tokenize -t $dir --document line --decode a.tok | diff - lines
        # They really are those tokens: each stands for twelve bytes.
        slt-tokenize -t $dir --document line -o b.tok <(sed 's/<|im_start|>/<|im_stort|>/g' lines)
        [ "$(slt-info a.tok | value_of tokens)" -lt "$(slt-info b.tok | value_of tokens)" ]
    done
}

@test "a checkpoint carries it: training, evaluation and generation need nothing else" {
    [ "$(slt-info "$DATA/model.slt" | value_of tokenizer.member)" = tokenizer.json ]
    [ "$(slt-info "$DATA/model.slt" | value_of tokenizer.sha256)" = "$(sha256sum <"$JSON" | cut -d ' ' -f 1)" ]
    [ "$(slt-info "$DATA/model.slt" | value_of config.eos_token_id)" = 0 ]
    cmp <(tar -xOf "$DATA/model.slt" tokenizer.json) "$JSON"
    slt-eval --data "$DATA/valid.tok" --seq 24 "$DATA/model.slt" | value_of loss | awk '{ exit !($1 > 0 && $1 < 9) } END { if (NR != 1) exit 1 }'
    slt-generate --prompt 'It was é' --max-tokens 20 "$DATA/model.slt" >out
    [ "$(head -c 9 out)" = 'It was é' ]
    [ "$(wc -c <out)" -gt 10 ]
    slt-quantize --type int8 "$DATA/model.slt" | tar -xO tokenizer.json | cmp - "$JSON"
    slt-init --from "$DATA/model.slt" --method lowrank --rank 8 | tar -xO tokenizer.json | cmp - "$JSON"
}

@test "tokens of another tokenizer are refused" {
    sed 's/"version": "1.0"/"version": "1.1"/' "$JSON" >other.json
    slt-tokenize --tokenizer other.json -o other.tok "$DATA/text"
    run slt-train --data other.tok --steps 1 --seq 24 -o x.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"another tokenizer"* ]]
}

@test "slt-convert: to a directory and back, and where the directory names other tokens" {
    slt-convert -o hf "$DATA/model.slt"
    cmp hf/tokenizer.json "$JSON"
    slt-convert --no-provenance hf | cmp - "$DATA/model.slt"
    # What config.json does not say, tokenizer_config.json does; then the tokenizer's own rule.
    sed -i 's/"\(bos\|eos\|pad\)_token_id": [0-9a-z]*,/"\1_token_id": null,/' hf/config.json
    slt-convert -o own.slt hf
    [ "$(slt-info own.slt | value_of config.eos_token_id)" = 0 ]
    printf '{"eos_token": {"content": "Ġthe"}, "pad_token": "the", "bos_token": null}' >hf/tokenizer_config.json
    slt-convert -o named.slt hf
    id() { grep -o "\"$1\": [0-9]*" "$JSON" | grep -o '[0-9]*$'; }
    [ "$(slt-info named.slt | value_of config.eos_token_id)" -eq "$(id Ġthe)" ]
    [ "$(slt-info named.slt | value_of config.bos_token_id)" = 0 ]
    # A SentencePiece model comes first.
    head -c 20000 "$DATA/text" | slt-tokenize --train-tokenizer hf/tokenizer.model --vocab-size 400 -o x.tok -
    slt-convert -o spm.slt hf
    [ "$(slt-info spm.slt | value_of tokenizer.member)" = tokenizer.model ]
    printf '{"eos_token": ' >hf/tokenizer_config.json
    run slt-convert -o x.slt hf
    [ "$status" -eq 1 ]
    [[ $output == *"tokenizer_config.json' is not valid JSON"* ]]
}

@test "generation stops at the end of a document that the model names, not the tokenizer" {
    slt-convert -o hf "$DATA/model.slt"
    slt-generate --temperature 0 --max-tokens 1 --prompt a "$DATA/model.slt" | tail -c +2 | head -c -1 >next
    slt-tokenize --tokenizer "$JSON" -o next.tok next
    [ "$(slt-info next.tok | value_of tokens)" = 2 ] || skip "the next token is not what its text is encoded as"
    id=$(tail -c +65 next.tok | head -c 2 | od -An -tu2 | tr -d ' ')
    sed -i "s/\"eos_token_id\": 0/\"eos_token_id\": $id/" hf/config.json
    slt-convert -o ends.slt hf
    slt-generate -v --temperature 0 --max-tokens 5 --prompt a ends.slt 2>&1 >/dev/null | grep -q '^slt-generate: 0 tokens'
    slt-generate -v --temperature 0 --max-tokens 5 --prompt a "$DATA/model.slt" 2>&1 >/dev/null | grep -q '^slt-generate: 5 tokens'
}

@test "GGUF: pieces, their types, merges and the name of the splitting" {
    slt-convert --to gguf -o model.gguf "$DATA/model.slt"
    slt-convert --to gguf "$DATA/model.slt" | cmp - model.gguf
    for key in tokens token_type merges pre bos_token_id eos_token_id; do
        grep -aq "tokenizer.ggml.$key" model.gguf
    done
    grep -aq 'tokenizer.ggml.model.*gpt2' model.gguf
    grep -aq 'tokenizer.ggml.pre.*gpt-2' model.gguf
    if grep -aq 'tokenizer.ggml.scores' model.gguf; then false; fi
    # What llama.cpp cannot split, or has no kind for.
    sed 's/"add_prefix_space": false,/"add_prefix_space": false, "use_regex": false,/; s/"use_regex": true//' "$JSON" |
        sed ':a;N;$!ba;s/,[ \n]*}/}/g' >whole.json
    for other in whole.json "$ROOT/tests/vectors/tokenizer-spaces.json"; do
        slt-init --config "$DATA/tiny.json" --tokenizer "$other" --method full -o other.slt
        run slt-convert --to gguf -o x.gguf other.slt
        [ "$status" -eq 2 ]
        [ ! -e x.gguf ]
    done
    [[ $output == *"not byte-level"* ]]
}

@test "what is damaged or of another kind is refused in a sentence" {
    head -c 3000 "$JSON" >cut.json
    sed 's/"type": "BPE"/"type": "Unigram"/' "$JSON" >unigram.json
    printf '{}' >empty.json
    printf 'no tokenizer at all' >text.json
    for file in cut unigram empty text; do
        for run in "slt-tokenize --tokenizer $file.json -o x $DATA/text" \
            "slt-init --preset nano --tokenizer $file.json -o x"; do
            # shellcheck disable=SC2086 # several words
            run $run
            echo "$output"
            [ "$status" -eq 1 ]
            [ "${#lines[@]}" -eq 1 ]
            [[ $output == *"'$file.json'"* ]]
            [ ! -e x ]
        done
    done
    run slt-tokenize --tokenizer unigram.json -o x "$DATA/text"
    [ "$status" -eq 1 ]
    [[ $output == *"SentencePiece model"* ]]
}

@test "T5's tokenizer.json is refused, and names its SentencePiece model" {
    need_shared data/tokenizers/t5/tokenizer.json
    run slt-tokenize --tokenizer "$SLT_SHARED/data/tokenizers/t5/tokenizer.json" -o x "$DATA/text"
    [ "$status" -eq 1 ]
    [[ $output == *"spiece.model"* ]]
}
