"""Makes the slices of SQuAD that ship with the repository, in datasets/samples/.

Usage: squad_samples.py SQUAD_FOLDER datasets/samples

squad-train-3000.json.gz: from each article of train-v1.1.recon.json in turn, whole paragraphs spread
evenly over the article, until its share of 3,000 questions (by its number of questions) is met.
xquad-en.json.gz: all of XQuAD English. Both without white space, compressed without a time stamp, so
that the same input gives the same bytes.
"""
import gzip
import io
import json
import sys

QUESTIONS = 3000


def write(path, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as f:
        f.write(text)
    open(path, "wb").write(out.getvalue())
    print(path, len(out.getvalue()), "bytes", file=sys.stderr)


def slice_of(data):
    """Walks through the articles; of every paragraph it asks whether the questions so far are
    behind their even share of all, and takes it whole where they are."""
    total = sum(len(p["qas"]) for a in data for p in a["paragraphs"])
    seen = taken = 0
    out = []
    for article in data:
        paragraphs = []
        for paragraph in article["paragraphs"]:
            seen += len(paragraph["qas"])
            if taken < QUESTIONS * seen // total and taken < QUESTIONS:
                kept = dict(paragraph, qas=paragraph["qas"][:QUESTIONS - taken])
                paragraphs.append(kept)
                taken += len(kept["qas"])
        if paragraphs:
            out.append({"title": article["title"], "paragraphs": paragraphs})
    return out


def main():
    source, target = sys.argv[1:]
    train = json.load(open(source + "/train-v1.1.recon.json", encoding="utf-8"))["data"]
    write(target + "/squad-train-3000.json.gz", {"version": "1.1", "data": slice_of(train)})
    xquad = json.load(open(source + "/xquad.en.json", encoding="utf-8"))
    write(target + "/xquad-en.json.gz", xquad)


main()
