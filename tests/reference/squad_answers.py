"""Writes tests/golden/squad_answers.json: what tests/train/squad_answers.c must find.

Usage: squad_answers.py DATA_FOLDER > tests/golden/squad_answers.json

Logits are a hash of window and token, so that both sides make the same ones; windows come from
squad_features.py beside this file. Answers are made by the published rules of run_qa (numpy, F32) and
of run_squad (F64). Each case holds CRC-32s of predictions.json, of null_odds.json with its numbers in
seven digits, of all candidates as "id TAB text TAB start TAB end NEWLINE" with logits in hundredths
of thousandths, and the sum of probability times rank.
"""
import json
import math
import sys
import unicodedata
import zlib

import numpy
from tokenizers import BertWordPieceTokenizer

import squad_features

N_BEST, LONGEST = 20, 30


def logits(window, count, which):
    """F32 in [-5, 5), multiples of 2^-20 * 10; [CLS] of every second window is raised by 9."""
    token = numpy.arange(count, dtype=numpy.uint64)
    x = (token * 2654435761 + numpy.uint64(window * 2246822519 + which * 3266489917)) % 2**32
    x = ((x ^ (x >> numpy.uint64(15))) * 2246822519) % 2**32
    x = (x ^ (x >> numpy.uint64(13))) >> numpy.uint64(12)
    out = (x.astype(numpy.float32) / numpy.float32(2**20) - numpy.float32(0.5)) * numpy.float32(10)
    if window % 2 == 0:
        out[0] += numpy.float32(9)
    return out


def finish_huggingface(context, windows, negative):
    null, spans = None, []
    for number, (ids, places, _) in windows:
        start, end = logits(number, len(ids), 0), logits(number, len(ids), 1)
        score = start[0] + end[0]
        if null is None or score < null[0]:
            null = (score, start[0], end[0], 0, 0)
        first_token = len(ids) - 1 - len(places)
        ends = numpy.argsort(end, kind="stable")[::-1][:N_BEST]
        for a in numpy.argsort(start, kind="stable")[::-1][:N_BEST]:
            for b in ends:
                x, y = a - first_token, b - first_token
                if x < 0 or y >= len(places) or y < x or y - x + 1 > LONGEST:
                    continue
                spans.append((start[a] + end[b], start[a], end[b], places[x][0], places[y][1]))
    if negative:
        spans.append(null)
    spans = sorted(spans, key=lambda s: s[0], reverse=True)[:N_BEST]
    if negative and not any(s[3:] == (0, 0) for s in spans):
        spans.append(null)
    best = [[context[s[3]:s[4]], s[1], s[2]] for s in spans]
    if not any(b[0] for b in best):
        best.insert(0, ["empty", 0.0, 0.0])
    scores = numpy.array([b[1] + b[2] for b in best])
    e = numpy.exp(scores - scores.max())
    probabilities = [float(p) for p in e / e.sum()]
    if not negative:
        return best[0][0], None, best, probabilities
    answer = next(b for b in best if b[0])
    odds = float(null[0] - numpy.float32(answer[1]) - numpy.float32(answer[2]))
    return "" if odds > 0 else answer[0], odds, best, probabilities


def is_punctuation(c):
    return (33 <= ord(c) <= 47 or 58 <= ord(c) <= 64 or 91 <= ord(c) <= 96 or 123 <= ord(c) <= 126
            or unicodedata.category(c)[0] == "P")


def basic(text):
    out = ""
    for c in text:
        kind = unicodedata.category(c)
        if c in "\t\n\r" or kind == "Zs":
            out += " "
        elif ord(c) in (0, 0xFFFD) or kind in ("Cc", "Cf"):
            continue
        elif 0x4E00 <= ord(c) <= 0x9FFF or 0x3400 <= ord(c) <= 0x4DBF or 0xF900 <= ord(c) <= 0xFAFF:
            out += " " + c + " "
        else:
            low = "".join(x for x in unicodedata.normalize("NFD", c.lower())
                          if unicodedata.category(x) != "Mn")
            out += "".join(" " + x + " " if is_punctuation(x) else x for x in low)
    return " ".join(out.split())


def align(wanted, words):
    known = basic(words)
    at = known.find(wanted)
    if at < 0:
        return words
    solid_words = [i for i, c in enumerate(words) if c != " "]
    solid_known = [i for i, c in enumerate(known) if c != " "]
    if len(solid_words) != len(solid_known):
        return words
    place = {i: n for n, i in enumerate(solid_known)}
    return words[solid_words[place[at]]:solid_words[place[at + len(wanted) - 1]] + 1]


def finish_google(context, windows, negative, tokenizer):
    words, owner = squad_features.words_of(context)
    null, spans = None, []
    for number, (ids, places, wide) in windows:
        start, end = ([float(x) for x in logits(number, len(ids), k)] for k in (0, 1))
        if null is None or start[0] + end[0] < null[0]:
            null = (start[0] + end[0], start[0], end[0], None)
        first_token = len(ids) - 1 - len(places)
        order = lambda v: sorted(range(len(v)), key=lambda i: v[i], reverse=True)[:N_BEST]
        ends = order(end)
        for a in order(start):
            for b in ends:
                x, y = a - first_token, b - first_token
                if (x < 0 or x >= len(places) or y >= len(places) or not wide[x] or y < x
                        or y - x + 1 > LONGEST):
                    continue
                spans.append((start[a] + end[b], start[a], end[b],
                              (ids[a:b + 1], places[x][0], places[y][0])))
    if negative:
        spans.append(null)
    best, seen = [], set()
    for score, a, b, where in sorted(spans, key=lambda s: s[0], reverse=True):
        if len(best) >= N_BEST:
            break
        text = ""
        if where:
            pieces = " ".join(tokenizer.id_to_token(i) for i in where[0])
            pieces = " ".join(pieces.replace(" ##", "").replace("##", "").split())
            covered = words[owner[where[1]]:owner[where[2]] + 1]
            text = align(pieces, " ".join(context[s:e] for s, e in covered))
            if text in seen:
                continue
        seen.add(text)
        best.append([text, a, b])
    if negative and "" not in seen:
        best.append(["", null[1], null[2]])
    if not any(b[0] for b in best):
        best.insert(0, ["empty", 0.0, 0.0])
    scores = [b[1] + b[2] for b in best]
    e = [math.exp(s - max(scores)) for s in scores]
    probabilities = [x / sum(e) for x in e]
    if not negative:
        return best[0][0], None, best, probabilities
    answer = next(b for b in best if b[0])
    odds = null[0] - answer[1] - answer[2]
    return "" if odds > 0 else answer[0], odds, best, probabilities


def main():
    data = sys.argv[1]
    tokenizer = BertWordPieceTokenizer(data + "/tokenizers/bert-base-uncased-vocab.txt", lowercase=True)
    path = data + "/squad/xquad.en.json"
    rows = squad_features.rows_of(path, 10**9)
    ids = [qa["id"] for a in json.load(open(path, encoding="utf-8"))["data"]
           for p in a["paragraphs"] for qa in p["qas"]]
    cases = []
    for meaning in ("huggingface", "google"):
        for length, stride in ((384, 128), (64, 16)):
            windows = [[] for _ in rows]
            made = getattr(squad_features, meaning)(tokenizer, rows, length, stride, False)
            for number, (example, tokens, _, _, places, wide) in enumerate(made):
                windows[example].append((number, (tokens, places, wide)))
            for negative in (False, True):
                answers, odds, listing, weight = {}, {}, 0, 0.0
                for i, (_, context, _) in enumerate(rows):
                    if meaning == "google":
                        got = finish_google(context, windows[i], negative, tokenizer)
                    else:
                        got = finish_huggingface(context, windows[i], negative)
                    answers[ids[i]], odds[ids[i]] = got[0], got[1]
                    for rank, (b, p) in enumerate(zip(got[2], got[3])):
                        line = f"{ids[i]}\t{b[0]}\t{float(b[1]) * 1e5:.0f}\t{float(b[2]) * 1e5:.0f}\n"
                        listing = zlib.crc32(line.encode(), listing)
                        weight += p * (rank + 1)
                case = {"meaning": meaning, "max_seq_length": length, "doc_stride": stride,
                        "negative": negative,
                        "predictions": zlib.crc32((json.dumps(answers, indent=4) + "\n").encode()),
                        "candidates": listing, "weight": weight}
                if negative:
                    text = "".join(f"{v:.7g}\n" for v in odds.values())
                    case["odds"] = zlib.crc32(text.encode())
                    case["nulls"] = sum(v == "" for v in answers.values())
                cases.append(case)
                print(case, file=sys.stderr, flush=True)
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


main()
