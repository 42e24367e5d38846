"""Writes tests/golden/squad_features.json: what tests/datasets/squad_features.c must find.

Usage: squad_features.py DATA_FOLDER > tests/golden/squad_features.json

Features are made by Hugging Face's tokenizers: for run_qa's meaning by its own truncation with
overlap and the labelling that run_qa publishes; for run_squad's meaning word by word. Each line holds
the count of features and the CRC-32 of all of them, each written as 32-bit integers: example, tokens,
start, end, ids, then (first, last) characters of each passage token, and for run_squad whether the
window is the token's widest context.
"""
import json
import sys
import zlib

import numpy
from tokenizers import BertWordPieceTokenizer

SEPARATORS = " \t\r\n\u202f"


def rows_of(path, most):
    rows = []
    for article in json.load(open(path, encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                rows.append((qa["question"], paragraph["context"], qa["answers"]))
    return rows[:most]


def huggingface(tokenizer, rows, length, stride, training):
    tokenizer.enable_truncation(length, stride=stride, strategy="only_second")
    ran_on = 0
    for number, (question, context, answers) in enumerate(rows):
        first = tokenizer.encode(question.lstrip(), context)
        for e in [first] + first.overflowing:
            inside = [i for i, s in enumerate(e.sequence_ids) if s == 1]
            start = end = 0
            if training and answers and inside:
                a, b = inside[0], inside[-1]
                begin = answers[0]["answer_start"]
                finish = begin + len(answers[0]["text"])
                if e.offsets[a][0] <= begin and e.offsets[b][1] >= finish:
                    last = b
                    while a <= last and e.offsets[a][0] <= begin:
                        a += 1
                    ran_on += a > last
                    start = a - 1
                    while e.offsets[b][1] >= finish:
                        b -= 1
                    end = b + 1
            yield number, e.ids, start, end, [e.offsets[i] for i in inside], []
    print("answers that begin in their window's last token:", ran_on, file=sys.stderr)
    tokenizer.no_truncation()


def words_of(context):
    words, owner, inside = [], [], False
    for i, c in enumerate(context):
        if c in SEPARATORS:
            inside = False
        elif inside:
            words[-1][1] = i + 1
        else:
            words.append([i, i + 1])
            inside = True
        owner.append(max(len(words) - 1, 0))
    return words, owner


def place(tokenizer, context, answer, words, owner, first_of, ids):
    begin, text = answer["answer_start"], answer["text"]
    a, b = owner[begin], owner[begin + len(text) - 1]
    covered = " ".join(context[s:e] for s, e in words[a:b + 1])
    if " ".join(text.split()) not in covered:
        return None
    start = first_of[a]
    end = first_of[b + 1] - 1 if b + 1 < len(words) else len(ids) - 1
    wanted = tokenizer.encode(text, add_special_tokens=False).ids
    for i in range(start, end + 1):
        for k in range(end, i - 1, -1):
            if ids[i:k + 1] == wanted:
                return i, k
    return start, end


def widest(windows, window, token):
    scores = [min(token - s, s + n - 1 - token) + 0.01 * n if s <= token < s + n else -1.0
              for s, n in windows]
    return scores.index(max(scores)) == window


def google(tokenizer, rows, length, stride, training, query=64):
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    cache = {}
    for number, (question, context, answers) in enumerate(rows):
        if context not in cache:
            words, owner = words_of(context)
            ids, places, first_of = [], [], []
            for s, e in words:
                first_of.append(len(ids))
                w = tokenizer.encode(context[s:e], add_special_tokens=False)
                ids += w.ids
                places += [(s + x, s + y) for x, y in w.offsets]
            cache = {context: (words, owner, ids, places, first_of)}
        words, owner, ids, places, first_of = cache[context]
        q = tokenizer.encode(question, add_special_tokens=False).ids[:query]
        found = None
        if training and answers:
            found = place(tokenizer, context, answers[0], words, owner, first_of, ids)
            if found is None:
                continue
        room, windows, at = length - len(q) - 3, [], 0
        while True:
            n = min(len(ids) - at, room)
            windows.append((at, n))
            if at + n == len(ids):
                break
            at += min(n, stride)
        for w, (at, n) in enumerate(windows):
            start = end = 0
            if found and found[0] >= at and found[1] < at + n:
                start, end = found[0] - at + len(q) + 2, found[1] - at + len(q) + 2
            wide = [widest(windows, w, t) for t in range(at, at + n)]
            yield number, [cls, *q, sep, *ids[at:at + n], sep], start, end, places[at:at + n], wide


def main():
    data = sys.argv[1]
    tokenizer = BertWordPieceTokenizer(data + "/tokenizers/bert-base-uncased-vocab.txt", lowercase=True)
    cases = []
    for meaning in (huggingface, google):
        for name, most, training in (("xquad.en.json", 10**9, True), ("dev-v1.1.json", 10**9, False),
                                     ("dev-v2.0.recon.json", 2000, True),
                                     ("train-v1.1.recon.json", 5000, True)):
            rows = rows_of(f"{data}/squad/{name}", most)
            for length, stride in ((384, 128), (64, 16)):
                crc, count = 0, 0
                try:
                    for number, ids, start, end, places, wide in meaning(tokenizer, rows, length,
                                                                         stride, training):
                        flat = [number, len(ids), start, end, *ids]
                        for a, b in places:
                            flat += [a, b]
                        crc = zlib.crc32(numpy.array(flat + wide, "<i4").tobytes(), crc)
                        count += 1
                except Exception as fault:
                    print(name, length, stride, repr(fault), file=sys.stderr)
                    tokenizer.no_truncation()
                    continue
                cases.append({"meaning": meaning.__name__, "file": "squad/" + name,
                              "questions": len(rows), "training": training,
                              "max_seq_length": length, "doc_stride": stride, "features": count,
                              "crc32": crc})
                print(cases[-1], file=sys.stderr, flush=True)
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
