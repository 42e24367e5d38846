# Questions about passages in the words of tests/fixtures/bert-*: rows first to first + count - 1, as
# JSONL or, with nested=1, as SQuAD JSON of v2.0 in which every fourth has no answer.
BEGIN {
    split("mason|king|north mason|old king", who, "|")
    split("bridge|tower|wall|long wall|first bridge", what, "|")
    split("city|river|north|south", place, "|")
    if (nested)
        printf "{\"version\": \"v2.0\", \"data\": [{\"title\": \"t\", \"paragraphs\": ["
    for (i = first; i < first + count; i++) {
        w = who[i * 7 % 4 + 1]; t = what[i % 5 + 1]; p = place[int(i / 5) % 4 + 1]
        none = nested && i % 4 == 0
        if (i % 2)
            passage = "In the " p ", the " w " built the stone " t " in year " i % 10 "."
        else
            passage = "The " t " of the " p " was built by the " w ". It is " i % 10 "."
        at = index(passage, "the " w) - 1 + 4
        question = none ? "How many bridges did the river?" : "Who built the " t "?"
        if (nested)
            printf "%s{\"context\": \"%s\", \"qas\": [{\"id\": \"q%d\", \"question\": \"%s\", " \
                "\"is_impossible\": %s, \"answers\": [%s]}]}", (i > first ? ", " : ""), passage, i, \
                question, (none ? "true" : "false"), \
                (none ? "" : "{\"text\": \"" w "\", \"answer_start\": " at "}")
        else
            printf "{\"id\": \"q%d\", \"context\": \"%s\", \"question\": \"%s\", \"answers\": " \
                "{\"text\": [\"%s\"], \"answer_start\": [%d]}}\n", i, passage, question, w, at
    }
    if (nested)
        print "]}]}"
}
