"""Called by bert_transformers.sh with a work folder. Fine-tunes each fixture a little with Cairn, opens
what was saved with transformers and compares answers, spans and logits.

The model's own settings decide everything: no argument tells transformers about casing or shapes.
"""

import json
import os
import shutil
import subprocess
import sys

import torch
import transformers
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

CAIRN, SOURCE = os.environ["CAIRN"], os.environ["CAIRN_SOURCE"]
PASSAGES = [
    ("The old bridge was built by mason Tom in 1844. It is long.", "Who built the bridge?"),
    ("In Northton the river is wide, and the Tower of stone is tall.", "What is the tower of?"),
    ("A wall: first, second (third) -- and \u00c9t\u00e9!", "Which is first?"),
]
ANSWERS = ["mason Tom", "stone", "first"]


def cairn(*words):
    p = subprocess.run([CAIRN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        sys.exit(f"cairn {' '.join(words[:2])}: {p.stderr.decode()}")
    return p.stdout.decode()


def squad():
    paragraphs = []
    for i, ((passage, question), answer) in enumerate(zip(PASSAGES, ANSWERS)):
        qa = dict(id=f"q{i}", question=question)
        qa["answers"] = [dict(text=answer, answer_start=passage.index(answer))]
        paragraphs.append(dict(context=passage, qas=[qa]))
    return dict(version="1.1", data=[dict(title="t", paragraphs=paragraphs)])


def other_head(work):
    """A fixture as transformers 5 leaves a classifier of three labels in BF16."""
    folder = os.path.join(work, "classifier")
    shutil.copytree(f"{SOURCE}/tests/fixtures/bert-encoder", folder)
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        config = json.load(f)
    config.update(architectures=["BertForSequenceClassification"], dtype="bfloat16")
    config.update(id2label={"0": "a", "1": "b", "2": "c"}, label2id=dict(a=0, b=1, c=2))
    with open(path, "w") as f:
        json.dump(config, f)
    return folder


def trained(work, model):
    """The folder of the model after a few updates."""
    name = "trained-" + os.path.basename(model)
    data = os.path.join(work, "data.json")
    with open(data, "w") as f:
        json.dump(squad(), f)
    recipe, output = os.path.join(work, name + ".yaml"), os.path.join(work, name)
    keys = dict(task="squad", model=model, train_data=data)
    keys.update(output_dir=output, max_seq_length=48, doc_stride=16, batch_size=3, max_steps=4)
    keys.update(learning_rate=1e-3, device="cpu", threads=2)
    with open(recipe, "w") as f:
        f.writelines(f"{k}: {json.dumps(v)}\n" for k, v in keys.items())
    cairn("train", recipe)
    return os.path.join(output, "model")


def best_span(model, tokenizer, passage, question):
    """Answer, its characters, its two logits: the best span of at most 30 tokens in the passage."""
    encoded = tokenizer(question, passage, return_tensors="pt", return_offsets_mapping=True)
    offsets, side = encoded.pop("offset_mapping")[0].tolist(), encoded.sequence_ids(0)
    with torch.no_grad():
        y = model(**encoded)
    start, end = y.start_logits[0].tolist(), y.end_logits[0].tolist()
    inside = [i for i, s in enumerate(side) if s == 1]
    spans = [(start[i] + end[j], i, j) for i in inside for j in inside if i <= j < i + 30]
    _, i, j = max(spans)
    return passage[offsets[i][0] : offsets[j][1]], offsets[i][0], offsets[j][1], start[i], end[j]


def check(work, source):
    name = os.path.basename(source)
    folder = trained(work, source)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, report = AutoModelForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    model.eval()
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    config = json.load(open(os.path.join(folder, "config.json")))
    assert config["architectures"] == ["BertForQuestionAnswering"], config
    assert {p.dtype for p in model.parameters()} == {torch.float32}, config
    nbest = os.path.join(work, "nbest.json")
    cairn("predict", "squad", folder, "--data", os.path.join(work, "data.json"),
          "--output", os.path.join(work, "predictions.json"), "--nbest", nbest)
    nbest = json.load(open(nbest))
    pipe = pipeline(model, tokenizer)
    for i, (passage, question) in enumerate(PASSAGES):
        text, first, last, start, end = best_span(model, tokenizer, passage, question)
        path = os.path.join(work, "passage.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write(passage)
        got = json.loads(cairn("ask", folder, "--passage", path, "--question", question, "--json"))
        assert (got["answer"], got["start"], got["end"]) == (text, first, last), (got, text)
        best = nbest[f"q{i}"][0]
        assert best["text"] == text, (best, text)
        for key, want in (("start_logit", start), ("end_logit", end)):
            assert abs(best[key] - want) < 1e-4 * (1 + abs(want)), (key, best, want)
        if pipe:
            answer = pipe(question=question, context=passage, max_answer_len=30)["answer"]
            assert answer == text, (answer, text)
    print(name, "agrees with transformers", transformers.__version__,
          "and its pipeline" if pipe else "(which has no pipeline for question answering)")


def pipeline(model, tokenizer):
    """transformers' own pipeline, where this version still has it."""
    try:
        return transformers.pipeline("question-answering", model=model, tokenizer=tokenizer)
    except (KeyError, ValueError):
        return None


if __name__ == "__main__":
    for fixture in ("bert-question-answering", "bert-encoder", "bert-pretraining"):
        check(sys.argv[1], f"{SOURCE}/tests/fixtures/{fixture}")
    check(sys.argv[1], other_head(sys.argv[1]))
