"""Makes the questions on which the demo's learning rate was chosen (docs/squad.md).

Usage: squad_held_out.py TRAIN.json SAMPLE.json.gz OUT.json

Of the articles of SQuAD's v1.1 training set that the sample (datasets/samples) has no passage of, the
last 37; of each its first passage and every fourth after that: 1,005 questions. So nothing that the
demo trains on or is scored on chooses its settings. With the Python standard library alone.
"""
import gzip
import json
import sys

ARTICLES, STEP = 37, 4


def main():
    train, sample, out = sys.argv[1:]
    with gzip.open(sample, "rt", encoding="utf-8") as f:
        used = {article["title"] for article in json.load(f)["data"]}
    with open(train, encoding="utf-8") as f:
        free = [article for article in json.load(f)["data"] if article["title"] not in used]
    data = [dict(a, paragraphs=a["paragraphs"][::STEP]) for a in free[-ARTICLES:]]
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"version": "1.1", "data": data}, f, ensure_ascii=False)
    count = sum(len(p["qas"]) for a in data for p in a["paragraphs"])
    print(f"{out}: {count} questions of {len(data)} articles")


main()
