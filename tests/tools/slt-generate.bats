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
    [ $((SECONDS - start)) -le 5 ]
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

@test "a checkpoint without a tokenizer is refused" {
    slt-init --config tiny.json --rank 8 -o bare.slt
    run slt-generate --prompt x bare.slt
    [ "$status" -eq 1 ]
    [[ $output == *"carries no tokenizer"* ]]
}
