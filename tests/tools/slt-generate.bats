# slt-generate: greedy and sampled text, streaming, and the end of a document.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    # A text that a tiny model learns by heart.
    for ((i = 0; i < 400; i++)); do echo "one two three four five six seven eight nine ten."; done >text
    slt-tokenize --train-tokenizer spm.model --vocab-size 300 --document line -o train.tok text
    printf '%s\n' '{"vocab_size": 300, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,' \
        '"num_attention_heads": 2}' >tiny.json
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --rank 8 -o init.slt
    slt-train --data train.tok --steps 150 --batch 8 --seq 64 --lr 1e-2 --warmup 10 -o model.slt init.slt
}

setup() {
    load common
    cd "$BATS_FILE_TMPDIR"
}

@test "a model that knows its text by heart says it, and stops at the end of the document" {
    run slt-generate --prompt 'one two' --temperature 0 --max-tokens 200 model.slt
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = "one two three four five six seven eight nine ten." ]
}

@test "going beyond the positions of the model is said, and nothing else goes to stderr" {
    sed 's/"vocab/"max_position_embeddings": 20, "vocab/' tiny.json >short.json
    slt-init --config short.json --tokenizer spm.model --rank 8 -o short.slt
    slt-generate --prompt one --max-tokens 40 short.slt 2>err >out
    [ "$(wc -l <err)" -eq 1 ]
    grep -q 'beyond the 20 positions' err
    slt-generate -q --prompt one --max-tokens 40 short.slt 2>err | cmp - out
    [ ! -s err ]
}

@test "an empty prompt starts a document" {
    run slt-generate --temperature 0 --max-tokens 200 model.slt
    [ "$status" -eq 0 ]
    [ "$output" = "one two three four five six seven eight nine ten." ]
}

@test "the prompt may come from a file or from standard input" {
    printf 'one two' >prompt
    slt-generate --prompt-file prompt --temperature 0 model.slt >a
    slt-generate --prompt-file - --temperature 0 model.slt <prompt | cmp - a
    slt-generate --prompt 'one two' --temperature 0 model.slt | cmp - a
}

@test "a signal ends the reading of a long prompt" {
    # Minutes of work, in thousands of chunks.
    slt-init --config tiny.json --tokenizer spm.model --method full -o full.slt
    for ((i = 0; i < 20000; i++)); do echo "five one eight"; done >long
    slt-generate -q --prompt-file long --max-tokens 1 -o never full.slt &
    pid=$!
    sleep 2
    start=$SECONDS
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    echo "status $status after $((SECONDS - start)) s"
    [ "$status" -eq $((128 + 15)) ]
    [ $((SECONDS - start)) -le 2 ]
    [ ! -e never ]
}

@test "a seed gives one text, other seeds others" {
    for seed in 1 1 2 3; do
        slt-generate --prompt 'one' --temperature 2 --seed $seed --max-tokens 30 init.slt | sha256sum
    done >sums
    [ "$(sed -n 1p sums)" = "$(sed -n 2p sums)" ]
    [ "$(sort -u sums | wc -l)" -eq 3 ]
}

@test "--top-k 1 is greedy, and so is a tiny --top-p" {
    slt-generate --prompt 'one' --temperature 0 --max-tokens 20 init.slt >a
    slt-generate --prompt 'one' --temperature 1 --top-k 1 --seed 9 --max-tokens 20 init.slt | cmp - a
    slt-generate --prompt 'one' --temperature 1 --top-p 1e-6 --seed 9 --max-tokens 20 init.slt | cmp - a
}

@test "a long prompt gives the same as its tokens one by one" {
    # 300 tokens of prompt pass through the cache in blocks; the plain backend's attention is written otherwise.
    head -n 20 text | tr '\n' ' ' >prompt
    slt-generate --prompt-file prompt --temperature 0 --max-tokens 12 model.slt >a
    slt-generate --prompt-file prompt --temperature 0 --max-tokens 12 --device cpu-reference model.slt | cmp - a
}

@test "text is streamed: the first words arrive before the last" {
    # Untrained and greedy it says one thing for ever, which takes minutes.
    mkfifo pipe
    slt-generate --prompt 'one' --temperature 0 --max-tokens 100K init.slt >pipe 2>/dev/null 3>&- &
    pid=$!
    exec 8<pipe
    first=$(timeout 20 head -c 20 <&8 | tr '\n' ' ')
    [[ $first == one?* ]]
    kill $pid
    exec 8<&-
    status=0
    wait $pid || status=$?
    [ "$status" -eq 143 ]
}

@test "a text that ends it is looked for in what was made, also where it comes in pieces" {
    [ "$(slt-generate --prompt 'one two' --temperature 0 --stop ' five' model.slt)" = "one two three four" ]
    [ "$(slt-generate --prompt 'one two' --temperature 0 --stop 'ten?' --stop 've s' model.slt)" = "one two three four fi" ]
    # What only begins like it is written after all; the prompt does not count.
    [ "$(slt-generate --prompt 'one two' --temperature 0 --stop 'two' --stop 'ten.!' model.slt)" = \
        "one two three four five six seven eight nine ten." ]
    run slt-generate --prompt x --stop '' model.slt
    [ "$status" -eq 2 ]
}

# The tokens of a prompt, of which -v gives the number.
prompt_tokens() { # ARGUMENTS
    slt-generate -v --max-tokens 1 "$@" 2>&1 >out | sed -n 's/.* after a prompt of \([0-9]*\),.*/\1/p'
}

@test "BOS stands before a prompt where the tokenizer puts it, if the model can know it" {
    cat >bos.json <<'END'
{"model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": ["a b"]},
 "added_tokens": [{"id": 0, "content": "<s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
  {"id": 1, "content": "</s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
 "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
 "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
  {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
 "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}}
END
    init=(slt-init --config tiny.json --tokenizer bos.json --method full)
    "${init[@]}" -o here.slt
    "${init[@]}" --no-provenance -o other.slt
    [ "$(prompt_tokens --prompt abab here.slt)" = 2 ]
    [ "$(prompt_tokens --prompt abab --bos yes here.slt)" = 3 ]
    [ "$(prompt_tokens --prompt abab other.slt)" = 3 ]
    [ "$(prompt_tokens --prompt '<s>abab' other.slt)" = 3 ]
    [ "$(prompt_tokens --prompt abab --bos no other.slt)" = 2 ]
    [ "$(prompt_tokens --prompt '' other.slt)" = 1 ]
    slt-convert --to hf -o hf here.slt
    slt-convert -o back.slt hf
    [ "$(prompt_tokens --prompt abab back.slt)" = 3 ]
    run slt-generate --prompt 'one' --bos yes model.slt
    [ "$status" -eq 0 ]
}

@test "a checkpoint without a tokenizer is refused" {
    slt-init --config tiny.json --rank 8 -o bare.slt
    run slt-generate --prompt x bare.slt
    [ "$status" -eq 1 ]
    [[ $output == *"carries no tokenizer"* ]]
}
