"""What Cairn and its peers must have in common: the questions, their windows, the order of samples.

Windows are made as transformers' run_qa makes them (fast tokenizer, truncation only_second, stride
as overlap), without padding. The order is that of train/order.h: Fisher and Yates's shuffle by
Philox 4x32-10, keyed by seed and epoch.
"""

import gzip
import json

import numpy as np

MASK = np.uint64(0xFFFFFFFF)


def philox(key0, key1, c0, c1, c2, c3):
    """Philox 4x32-10 (Salmon et al. 2011) on arrays of counters; gives four arrays of words."""
    c = [np.asarray(x, dtype=np.uint64) for x in np.broadcast_arrays(c0, c1, c2, c3)]
    key0, key1 = np.uint64(key0), np.uint64(key1)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ key0,
            p1 & MASK,
            (p0 >> np.uint64(32)) ^ c[3] ^ key1,
            p0 & MASK,
        ]
        key0 = (key0 + np.uint64(0x9E3779B9)) & MASK
        key1 = (key1 + np.uint64(0xBB67AE85)) & MASK
    return c


def philox_seed(seed):
    """A 64-bit seed folded to 32 bits, as runtime/philox.h does."""
    whole = (1 << 64) - 1
    seed = (seed + 0x9E3779B97F4A7C15) & whole
    seed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & whole
    seed = ((seed ^ (seed >> 27)) * 0x94D049BB133111EB) & whole
    return ((seed ^ (seed >> 31)) >> 16) & 0xFFFFFFFF


def order_of(count, seed, epoch):
    """The order of `count` samples in this epoch."""
    key = philox_seed(seed)
    i = np.arange(count, dtype=np.uint64)
    words = philox(key, 0x0DE5, i, epoch, 0, 0xFFFFFFFE)[0]
    order = list(range(count))
    for k in range(count - 1, 0, -1):
        span, word, attempt = k + 1, int(words[k]), 0
        while (word * span) & 0xFFFFFFFF < (1 << 32) % span:
            attempt += 1
            word = int(philox(key, 0x0DE5, k, epoch, attempt, 0xFFFFFFFE)[0])
        j = (word * span) >> 32
        order[k], order[j] = order[j], order[k]
    return order


def read_questions(path, most=None):
    """Rows {id, question, context, answers: {text, answer_start}} of a SQuAD file."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        articles = json.load(f)["data"]
    rows = []
    for article in articles:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answers = {
                    "text": [a["text"] for a in qa["answers"]],
                    "answer_start": [a["answer_start"] for a in qa["answers"]],
                }
                rows.append(
                    dict(
                        id=qa["id"],
                        question=qa["question"].lstrip(),
                        context=paragraph["context"],
                        answers=answers,
                    )
                )
    return rows[:most]


def target(answers, offsets, side, ids, cls):
    """The tokens of the answer in this window, as run_qa finds them; [CLS] where it is not there."""
    first, last = 0, len(ids) - 1
    if not answers["answer_start"]:
        return cls, cls
    start = answers["answer_start"][0]
    end = start + len(answers["text"][0])
    while side[first] != 1:
        first += 1
    while side[last] != 1:
        last -= 1
    limit = last
    if not (offsets[first][0] <= start and offsets[last][1] >= end):
        return cls, cls
    while first <= limit and offsets[first][0] <= start:
        first += 1
    while offsets[last][1] >= end:
        last -= 1
    return first - 1, last + 1


def windows_of(tokenizer, rows, max_seq_length=384, doc_stride=128, padding=False):
    """All windows of the rows, in their order: dicts ids, segments, start, end, offsets, example."""
    windows = []
    for at in range(0, len(rows), 1000):
        chunk = rows[at : at + 1000]
        encoded = tokenizer(
            [r["question"] for r in chunk],
            [r["context"] for r in chunk],
            truncation="only_second",
            max_length=max_seq_length,
            stride=doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length" if padding else False,
        )
        for i, ids in enumerate(encoded["input_ids"]):
            example = encoded["overflow_to_sample_mapping"][i]
            side = encoded.sequence_ids(i)
            offsets = encoded["offset_mapping"][i]
            cls = ids.index(tokenizer.cls_token_id)
            start, end = target(chunk[example]["answers"], offsets, side, ids, cls)
            windows.append(
                dict(
                    ids=ids,
                    segments=encoded["token_type_ids"][i],
                    start=start,
                    end=end,
                    offsets=[o if side[k] == 1 else None for k, o in enumerate(offsets)],
                    example=at + example,
                )
            )
    return windows


def cut_to_length(tokenizer, rows, length, count):
    """`count` questions whose one window is exactly `length` tokens long, as SQuAD JSON.

    Paragraphs are joined and cut at a word; single words fill what is missing."""
    joined, paragraphs = " ".join(dict.fromkeys(r["context"] for r in rows[:2000])), []
    at = 0
    for row in rows:
        if len(paragraphs) == count:
            break
        answer = row["answers"]["text"][0]
        question = len(tokenizer(row["question"], add_special_tokens=False)["input_ids"])
        context = row["context"] + " " + joined[at : at + 12 * length]
        at = (at + 997) % (len(joined) // 2)
        words, room = context.split(" "), length - 3 - question
        sizes = [len(x) for x in tokenizer(words, add_special_tokens=False)["input_ids"]]
        total = used = 0
        while used < len(words) and total + sizes[used] <= room:
            total += sizes[used]
            used += 1
        context = " ".join(words[:used] + ["the"] * (room - total))
        start = row["answers"]["answer_start"][0]
        if context[start : start + len(answer)] != answer:
            continue
        if len(tokenizer(row["question"], context)["input_ids"]) != length:
            continue
        qa = dict(
            id=f"q{len(paragraphs)}",
            question=row["question"],
            answers=[dict(text=answer, answer_start=start)],
        )
        paragraphs.append(dict(context=context, qas=[qa]))
    return dict(version="1.1", data=[dict(title="one length", paragraphs=paragraphs)])
