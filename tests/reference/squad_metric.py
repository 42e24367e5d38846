"""Writes tests/golden/squad_metric.json: what tests/train/squad_metric.c must find.

Usage: squad_metric.py > tests/golden/squad_metric.json

The rules are those of SQuAD's evaluate-v1.1.py and evaluate-v2.0.py, written anew over Python's own
str.lower(), re and str.split(), which define what normalising means. Data, predictions and odds are
random texts of words that tell the rules apart. Sums are plain: run it with Python 3.11 or older
(later versions compensate sum() of floats).
"""
import collections
import json
import random
import re
import string
import sys
import unicodedata

ODD = ["the", "The", "THE", "a", "An", "\u0391\u03a3", "\u03a3\u0391\u03a3.", "\u03a3", "A\u0301", "the\u0301", "\u0130stanbul",
       "I\u0307", "an_", "_the_", "a-b", "(the)", "don't", "\u2019a\u2019", "\u201cthe\u201d", "caf\u00e9 the", "\u00aaa", "a\u00b2", "\u2160",
       "\u24b6\u03a3", "x\u00b7\u03a3", "x\u03a3'y", "x\u03a3'", "\u02b0\u03a3", "\u01c5\u03a3\u01c5", "\u1e9e", "\ufb01", "\U00010400", "1\u03a3", "$5.00",
       "\u2014", "\u4e2d the \u6587", "a\u200b", "the\u00adx", "\u0e01the", "an\u0903", "the\u203f", "\u216b a"]
GAPS = [" ", "  ", "\t", "\n", "\u00a0", "\u3000", "\u2003", "\x1c", "\u200b", "", "-", ".", "\u2028", "\x85"]


def normalise(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(answer, gold, second):
    a, g = normalise(answer).split(), normalise(gold).split()
    if second and (not a or not g):
        return float(a == g)
    same = sum((collections.Counter(a) & collections.Counter(g)).values())
    if not same:
        return 0.0
    precision, recall = same / len(a), same / len(g)
    return 2 * precision * recall / (precision + recall)


def exact(answer, gold):
    return float(normalise(answer) == normalise(gold))


def first_version(questions, predictions):
    e = f = 0.0
    for q in questions:
        if q["id"] in predictions:
            golds = [a["text"] for a in q["answers"]]
            e += max(exact(predictions[q["id"]], g) for g in golds)
            f += max(f1(predictions[q["id"]], g, False) for g in golds)
    n = len(questions)
    return {"exact_match": 100 * e / n, "f1": 100 * f / n, "exact": 100 * e / n, "total": n}


def best(scores, questions, predictions, odds):
    answered = {q["id"]: bool(q["answers"]) for q in questions}
    current = most = sum(not a for a in answered.values())
    threshold = 0.0
    for i in sorted(odds, key=lambda k: odds[k]):
        if i not in scores:
            continue
        current += scores[i] if answered[i] else (-1 if predictions[i] else 0)
        if current > most:
            most, threshold = current, odds[i]
    return 100 * most / len(scores), threshold


def second_version(questions, predictions, odds, threshold):
    scores = {}
    for q in questions:
        if q["id"] in predictions:
            golds = [a["text"] for a in q["answers"] if normalise(a["text"])] or [""]
            p = predictions[q["id"]]
            scores[q["id"]] = (max(exact(p, g) for g in golds),
                               max(f1(p, g, True) for g in golds), bool(q["answers"]))
    kept = {}
    for i, (e, f, answered) in scores.items():
        nothing = odds is not None and odds[i] > threshold
        kept[i] = (float(not answered), float(not answered), answered) if nothing else (e, f, answered)
    out = {}
    for name, part in (("", None), ("HasAns_", True), ("NoAns_", False)):
        chosen = [k for k in kept.values() if part is None or k[2] == part]
        if chosen:
            out[name + "exact"] = 100 * sum(k[0] for k in chosen) / len(chosen)
            out[name + "f1"] = 100 * sum(k[1] for k in chosen) / len(chosen)
            out[name + "total"] = len(chosen)
    if odds is not None:
        for k, name in enumerate(("exact", "f1")):
            value, at = best({i: s[k] for i, s in scores.items()}, questions, predictions, odds)
            out["best_" + name], out[f"best_{name}_thresh"] = value, at
    return out


def phrase(r, most):
    words = ODD if r.random() < 0.4 else ["red", "dog", "Red", "the", "of", "rain", "dogs"]
    return "".join(r.choice(words) + r.choice(GAPS if words is ODD else " ")
                   for _ in range(r.randint(1, most)))


def main():
    r = random.Random(7)
    texts = ODD + [phrase(r, 6) for _ in range(400)]
    # every character that may stand beside an article or be lowered, a block at a time
    for first in [*range(0x80, 0x600, 16), *range(0x1D00, 0x1E00, 16), *range(0x1F80, 0x2200, 16), 0x3000]:
        block = [chr(c) for c in range(first, first + 16) if unicodedata.category(chr(c)) != "Cn"]
        texts.append(" ".join(c + "the" for c in block) + " " + " ".join(c + "\u03a3" for c in block)
                     + " " + " ".join("x\u03a3" + c for c in block))
    questions, predictions, odds = [], {}, {}
    for i in range(60):
        golds = [] if r.random() < 0.4 else [phrase(r, 3) for _ in range(r.randint(1, 3))]
        if r.random() < 0.1:
            golds = ["the"]
        questions.append({"id": f"q{i}", "question": "?",
                          "answers": [{"text": g, "answer_start": 0} for g in golds]})
        if r.random() < 0.9:
            predictions[f"q{i}"] = r.choice((golds or ["", ""]) + [phrase(r, 3), "", "the"])
    for i in sorted(predictions, key=lambda _: r.random()):
        odds[i] = round(r.random() * 8 - 4, 1)
    answered = [q for q in questions if q["answers"]]
    golden = {
        "normalised": [[t, normalise(t)] for t in texts],
        "questions": questions,
        "predictions": predictions,
        "odds": odds,
        "1.1": json.dumps(first_version(answered, predictions)),
        "2.0": json.dumps(second_version(questions, predictions, None, 1.0)),
        "2.0 odds": json.dumps(second_version(questions, predictions, odds, 1.0)),
        "2.0 odds above -1.5": json.dumps(second_version(questions, predictions, odds, -1.5)),
    }
    json.dump(golden, sys.stdout, indent=0, ensure_ascii=False)
    print()


main()
