"""Scores of Cairn and of transformers side by side; called by parity.sh, which says what it does.

    parity.py torch --seed S ...    one fine-tuning by PyTorch + transformers: predictions to --output
    parity.py all ...               every run that has left no JSON yet, then the verdict
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time

import features

N_BEST, MAX_ANSWER = 20, 30


def say(text):
    print(text, file=sys.stderr, flush=True)


def padded(torch, windows, pad):
    """A batch padded to its longest window."""
    width = max(len(w["ids"]) for w in windows)
    fill = lambda key, value: torch.tensor(
        [w[key] + [value] * (width - len(w["ids"])) for w in windows]
    )
    ids = fill("ids", pad)
    mask = torch.tensor([[1] * len(w["ids"]) + [0] * (width - len(w["ids"])) for w in windows])
    return dict(input_ids=ids, token_type_ids=fill("segments", 0), attention_mask=mask)


def answers(rows, windows, logits):
    """run_qa's choice of answers: the best of 20 x 20 spans over all windows of a question."""
    best = {}
    for w, (start, end) in zip(windows, logits):
        row = rows[w["example"]]
        starts = sorted(range(len(start)), key=lambda i: -start[i])[:N_BEST]
        ends = sorted(range(len(end)), key=lambda i: -end[i])[:N_BEST]
        for s in starts:
            for e in ends:
                if e < s or e - s + 1 > MAX_ANSWER or not w["offsets"][s] or not w["offsets"][e]:
                    continue
                score = start[s] + end[e]
                if row["id"] not in best or score > best[row["id"]][0]:
                    text = row["context"][w["offsets"][s][0] : w["offsets"][e][1]]
                    best[row["id"]] = (score, text)
    return {r["id"]: best[r["id"]][1] if r["id"] in best else "empty" for r in rows}


def predict(torch, model, tokenizer, path):
    rows = features.read_questions(path)
    windows = features.windows_of(tokenizer, rows)
    logits = [None] * len(windows)
    by_length = sorted(range(len(windows)), key=lambda i: len(windows[i]["ids"]))
    model.eval()
    with torch.no_grad():
        for at in range(0, len(windows), 16):
            chunk = by_length[at : at + 16]
            y = model(**padded(torch, [windows[i] for i in chunk], tokenizer.pad_token_id))
            for k, i in enumerate(chunk):
                n = len(windows[i]["ids"])
                logits[i] = (y.start_logits[k, :n].tolist(), y.end_logits[k, :n].tolist())
    return answers(rows, windows, logits)


def save(torch, kept, path, place):
    """Weights, moments, schedule, random state and (updates, seconds, order): complete or absent."""
    state = {name: thing.state_dict() for name, thing in kept.items()}
    torch.save(dict(state, random=torch.get_rng_state(), place=place), path + ".part")
    os.rename(path + ".part", path)


def resume(torch, kept, path):
    """What save() left: updates done, seconds spent, the epoch's order; zeros where nothing is."""
    if not os.path.exists(path):
        return 0, 0.0, []
    state = torch.load(path, weights_only=True)
    for name, thing in kept.items():
        thing.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    return tuple(state["place"])


def gradients(torch, model, chunk, micro_batch, pad):
    """The gradient of a batch's mean loss, gathered from micro-batches of windows of like length."""
    chunk = sorted(chunk, key=lambda w: len(w["ids"]))
    total = 0.0
    for at in range(0, len(chunk), micro_batch):
        part = chunk[at : at + micro_batch]
        batch = padded(torch, part, pad)
        for name in ("start", "end"):
            batch[name + "_positions"] = torch.tensor([w[name] for w in part])
        loss = model(**batch).loss * (len(part) / len(chunk))
        loss.backward()
        total += loss.item()
    return total


def train_torch(a):
    """run_qa's training without the Trainer: AdamW, clip 1, linear without warm-up, random order."""
    import torch
    import transformers
    from peer import tokenizer_of

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(a.threads)
    transformers.set_seed(a.seed)
    tokenizer = tokenizer_of(a.model)
    model = transformers.BertForQuestionAnswering.from_pretrained(
        a.model, attn_implementation="sdpa", dtype=torch.float32
    )
    windows = features.windows_of(tokenizer, features.read_questions(a.data, a.samples))
    per_epoch = math.ceil(len(windows) / a.batch)
    total = math.ceil(per_epoch * a.epochs)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=a.rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, fused=True
    )
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, total)
    model.train()
    run = torch.compile(model, dynamic=True) if a.compile else model
    kept = dict(model=model, optimizer=optimizer, schedule=schedule)
    first, spent, order = resume(torch, kept, a.output + ".state")
    began = time.time() - spent
    for step in range(first, total):
        if step % per_epoch == 0:
            order = torch.randperm(len(windows)).tolist()
        at = step % per_epoch * a.batch
        chunk = [windows[i] for i in order[at : at + a.batch]]
        loss = gradients(torch, run, chunk, a.micro_batch, tokenizer.pad_token_id)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if (step + 1) % 50 == 0:
            say(f"step {step + 1}/{total} loss {loss:.3f} {time.time() - began:.0f} s")
        if (step + 1) % 100 == 0:
            save(torch, kept, a.output + ".state", (step + 1, time.time() - began, order))
    with open(a.output, "w") as f:
        json.dump(predict(torch, model, tokenizer, a.evaluation), f)
    print(json.dumps(dict(updates=total, windows=len(windows), seconds=time.time() - began,
                          torch=torch.__version__, transformers=transformers.__version__)))


def run(a, command):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    env["OMP_NUM_THREADS"] = str(a.threads)
    env["HF_HUB_OFFLINE"] = "1"
    p = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return p.stdout.decode().strip().split("\n")[-1]


def one_torch(a, seed, predictions):
    words = ["--seed", seed, "--output", predictions]
    for name in ("model", "data", "evaluation", "samples", "epochs", "batch", "rate", "micro_batch",
                 "threads", "compile"):
        words += ["--" + name, getattr(a, name)]
    return run(a, [sys.executable, os.path.abspath(__file__), "torch", *map(str, words)])


def one_cairn(a, seed, predictions):
    output = os.path.join(a.work, "run")
    shutil.rmtree(output, ignore_errors=True)
    keys = dict(
        task="squad",
        model=a.model,
        train_data=a.data,
        max_train_samples=a.samples,
        output_dir=output,
        max_seq_length=384,
        doc_stride=128,
        batch_size=a.batch,
        epochs=a.epochs,
        learning_rate=a.rate,
        lr_scheduler="linear",
        optimizer="adamw",
        weight_decay=0,
        max_grad_norm=1,
        seed=seed,
        threads=a.threads,
        device="cpu",
        dtype="f32",
    )
    recipe = os.path.join(a.work, "recipe.yaml")
    with open(recipe, "w") as f:
        f.writelines(f"{k}: {json.dumps(v)}\n" for k, v in keys.items())
    began = time.time()
    run(a, [a.cairn, "train", recipe])
    model = os.path.join(output, "model")
    run(a, [a.cairn, "predict", "squad", model, "--data", a.evaluation, "--output", predictions,
            "--threads", str(a.threads)])
    shutil.rmtree(output, ignore_errors=True)
    version = subprocess.run([a.cairn, "--version"], stdout=subprocess.PIPE, check=True).stdout
    return json.dumps(dict(seconds=time.time() - began, cairn=version.decode().split("\n")[0]))


def scored(a, side, seed):
    """F1 and EM of one run, from its JSON or by running it."""
    name = f"{side}-{a.samples}-{a.epochs:g}-{a.rate:g}-{a.batch}-{seed}"
    path = os.path.join(a.work, name + ".json")
    if not os.path.exists(path):
        say(name)
        predictions = os.path.join(a.work, name + ".predictions")
        make = one_torch if side == "transformers" else one_cairn
        result = json.loads(make(a, seed, predictions))
        score = json.loads(
            subprocess.run(
                [a.cairn, "score", "squad", "--data", a.evaluation, "--predictions", predictions],
                stdout=subprocess.PIPE, check=True,
            ).stdout
        )
        result.update(f1=score["f1"], exact=score["exact"])
        with open(path + ".part", "w") as f:
            json.dump(result, f)
        os.rename(path + ".part", path)
        if os.path.exists(predictions + ".state"):
            os.remove(predictions + ".state")
    with open(path) as f:
        return json.load(f)


def compare(a):
    a.work, a.model = os.path.abspath(a.work), os.path.abspath(a.model)
    a.data, a.evaluation = os.path.abspath(a.data), os.path.abspath(a.evaluation)
    os.makedirs(a.work, exist_ok=True)
    seeds = [int(s) for s in a.seeds.split(",")]
    found = {"cairn": [], "transformers": []}
    for seed in seeds:
        for side in found:
            found[side].append(scored(a, side, seed))
    print(f"MiniLM-L6, first {a.samples} questions, {a.epochs:g} epochs, learning rate {a.rate:g}, "
          f"batches of {a.batch}, XQuAD English, seeds {a.seeds}")
    means, errors = {}, []
    for side, runs in found.items():
        for key in ("f1", "exact"):
            values = [r[key] for r in runs]
            means[side, key] = statistics.mean(values)
            spread = statistics.stdev(values) if len(values) > 1 else math.nan
            if key == "f1":
                errors.append(spread / math.sqrt(len(values)))
            print(f"{side:12} {key:5} mean {means[side, key]:.2f} standard deviation {spread:.2f} "
                  f"({', '.join(f'{v:.2f}' for v in values)})")
    difference = means["cairn", "f1"] - means["transformers", "f1"]
    error = math.hypot(*errors)
    good = abs(difference) <= 0.5 or abs(difference) <= 2 * error
    print(f"difference in F1 {difference:+.2f}, its standard error {error:.2f}: "
          + ("within" if good else "NOT within") + " 0.5 or twice the standard error")
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("torch", "all"))
    for name in ("cairn", "model", "data", "evaluation", "work", "output"):
        parser.add_argument("--" + name)
    for name, value in (("samples", 8000), ("batch", 12), ("micro_batch", 2), ("seed", 1),
                        ("threads", os.cpu_count()), ("compile", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seeds", default="1,2,3")
    a = parser.parse_args()
    return train_torch(a) if a.what == "torch" else compare(a)


if __name__ == "__main__":
    sys.exit(main())
