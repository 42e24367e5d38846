"""One measurement of PyTorch + transformers, in a process of its own; prints one JSON object.

    peer.py model --output DIR --like DIR        a BERT-base with random weights, tokenizer of --like
    peer.py data --like DIR --data FILE --most N --output FILE.json --length T --count N
    peer.py windows --model DIR --data FILE --most N --output FILE.npz     and how long it took
    peer.py train --model DIR --windows FILE.npz --form padded|longest|plain
                  --number f32|tf32|autocast|bf16 --compile 0|1 --steps N --started SECONDS
    peer.py steps --shape gpt2|bert --batch N --length T --number ... --compile 0|1 --steps N
    peer.py evaluate --model DIR --data FILE
    peer.py limits

train, steps and limits take --device cpu|cuda.
"""

import argparse
import json
import os
import resource
import shutil
import time
from statistics import median_high

import numpy as np


def memory_peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def imported():
    """torch and transformers, and the peak memory that importing them has cost."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.BertForQuestionAnswering  # loads the modules behind the lazy name
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    return torch, transformers, memory_peak()


def number_of(a, torch):
    """What a step runs under: autocast where asked for; TF32 is a switch of the process."""
    torch.set_float32_matmul_precision("high" if a.number == "tf32" else "highest")
    return torch.autocast(a.device, torch.bfloat16, enabled=a.number == "autocast")


def device_memory(a, torch):
    return torch.cuda.max_memory_allocated() if a.device == "cuda" else memory_peak()


def tokenizer_of(folder):
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=512)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def make_model(a):
    torch, transformers, _ = imported()
    torch.manual_seed(42)
    model = transformers.BertForQuestionAnswering(transformers.BertConfig())
    model.save_pretrained(a.output)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        path = os.path.join(a.like, name)
        if os.path.exists(path):
            shutil.copy(path, a.output)
    return dict(parameters=sum(p.numel() for p in model.parameters()))


def make_data(a):
    import features

    tokenizer = tokenizer_of(a.like)
    rows = features.read_questions(a.data, a.most)
    data = features.cut_to_length(tokenizer, rows, a.length, a.count)
    with open(a.output, "w") as f:
        json.dump(data, f)
    return dict(questions=len(data["data"][0]["paragraphs"]))


def make_windows(a):
    import features

    tokenizer = tokenizer_of(a.model)
    rows = features.read_questions(a.data, a.most)
    began = time.time()
    windows = features.windows_of(tokenizer, rows)
    took = time.time() - began
    np.savez(
        a.output,
        ids=np.concatenate([w["ids"] for w in windows]).astype(np.int64),
        segments=np.concatenate([w["segments"] for w in windows]).astype(np.int64),
        length=np.array([len(w["ids"]) for w in windows]),
        target=np.array([[w["start"], w["end"]] for w in windows]),
    )
    return dict(questions=len(rows), windows=len(windows), seconds=took)


class Windows:
    """Batches of the prepared windows in Cairn's order."""

    def __init__(self, path, form, torch):
        import features

        data = np.load(path)
        self.ids, self.segments = data["ids"], data["segments"]
        self.length, self.target = data["length"], data["target"]
        self.offset = np.concatenate([[0], np.cumsum(self.length)])
        self.form, self.torch = form, torch
        self.order = features.order_of(len(self.length), 42, 0)

    def batch(self, step, size):
        picked = self.order[step * size : (step + 1) * size]
        lengths = [int(self.length[i]) for i in picked]
        width = 384 if self.form == "padded" else max(lengths)
        out = {k: np.zeros((size, width), np.int64) for k in ("ids", "segments", "mask")}
        for row, i in enumerate(picked):
            span = slice(self.offset[i], self.offset[i + 1])
            out["ids"][row, : lengths[row]] = self.ids[span]
            out["segments"][row, : lengths[row]] = self.segments[span]
            out["mask"][row, : lengths[row]] = 1
        tensor = self.torch.from_numpy
        batch = dict(input_ids=tensor(out["ids"]), token_type_ids=tensor(out["segments"]))
        if self.form != "plain":
            batch["attention_mask"] = tensor(out["mask"])
        batch["start_positions"] = tensor(self.target[picked, 0].copy())
        batch["end_positions"] = tensor(self.target[picked, 1].copy())
        return batch, lengths


def train(a):
    started = a.started or time.time()
    torch, transformers, after_import = imported()
    torch.manual_seed(42)
    model = transformers.BertForQuestionAnswering.from_pretrained(
        a.model, attn_implementation="sdpa", dtype=torch.float32
    )
    if a.number == "bf16":
        model.to(torch.bfloat16)
    model.to(a.device).train()
    windows = Windows(a.windows, a.form, torch)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, fused=True
    )
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, a.steps)
    run = torch.compile(model, dynamic=a.form == "longest") if a.compile else model
    steps, first = [], None
    for step in range(a.steps):
        began = time.time()
        batch, lengths = windows.batch(step, a.batch)
        batch = {k: v.to(a.device) for k, v in batch.items()}
        with number_of(a, torch):
            loss = run(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if a.device == "cuda":
            torch.cuda.synchronize()
        now = time.time()
        first = first or now - started
        steps.append(
            dict(seconds=now - began, lengths=lengths, loss=loss.item())
        )
    late = steps[len(steps) // 3 :]
    return dict(
        steps=steps, first_step=first, memory=device_memory(a, torch), memory_imports=after_import,
        tokens_per_second=median_high(sum(s["lengths"]) / s["seconds"] for s in late),
        torch=torch.__version__, transformers=transformers.__version__,
    )


def steps(a):
    """What cairn-steps times: random weights and tokens, nothing padded, SDPA, fused AdamW."""
    torch, transformers, _ = imported()
    torch.manual_seed(42)
    shape = dict(attn_implementation="sdpa")
    if a.shape == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=50304, n_positions=max(a.length, 1024), resid_pdrop=0, embd_pdrop=0,
            attn_pdrop=0, **shape,
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        model = transformers.BertForQuestionAnswering(transformers.BertConfig(**shape))
    if a.number == "bf16":
        model.to(torch.bfloat16)
    model.to(a.device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    run = torch.compile(model) if a.compile else model
    ids = torch.randint(1000, 30000, (a.batch, a.length), device=a.device)
    batch = dict(input_ids=ids)
    if a.shape == "gpt2":
        batch["labels"] = ids
    else:
        batch["start_positions"] = batch["end_positions"] = ids[:, 0] % a.length
    seconds, losses = [], []
    for _ in range(a.steps):
        began = time.time()
        with number_of(a, torch):
            loss = run(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())  # waits for the device
        seconds.append(time.time() - began)
    typical = median_high(seconds[len(seconds) // 3 :])
    return dict(
        model=a.shape, dtype=a.number, batch=a.batch, length=a.length, compiled=bool(a.compile),
        parameters=sum(p.numel() for p in model.parameters()), median_ms=1e3 * typical,
        tokens_per_second=a.batch * a.length / typical, used_bytes=device_memory(a, torch),
        first_loss=losses[0], last_loss=losses[-1], torch=torch.__version__,
        transformers=transformers.__version__,
    )


def evaluate(a):
    import features

    torch, transformers, _ = imported()
    began = time.time()
    tokenizer = tokenizer_of(a.model)
    model = transformers.BertForQuestionAnswering.from_pretrained(
        a.model, attn_implementation="sdpa", dtype=torch.float32
    ).eval()
    rows = features.read_questions(a.data, a.most)
    windows = features.windows_of(tokenizer, rows, padding=True)
    tokenised = time.time()
    logits = []
    with torch.no_grad():
        for at in range(0, len(windows), 8):
            chunk = windows[at : at + 8]
            ids = torch.tensor([w["ids"] for w in chunk])
            y = model(
                input_ids=ids,
                token_type_ids=torch.tensor([w["segments"] for w in chunk]),
                attention_mask=(ids != tokenizer.pad_token_id).long(),
            )
            logits += list(zip(y.start_logits.numpy(), y.end_logits.numpy()))
    return dict(
        questions=len(rows), tokenise=tokenised - began, forward=time.time() - tokenised,
        memory=memory_peak(),
    )


def limits(a):
    """FLOP/s of a large product in each of --dtypes, bytes/s of a large copy: the best of five."""
    torch, _, _ = imported()
    n = 3072

    def best(work, repeats=5):
        times = []
        for _ in range(repeats):
            began = time.time()
            work()
            if a.device == "cuda":
                torch.cuda.synchronize()
            times.append(time.time() - began)
        return min(times)

    out = {}
    for name in a.dtypes.split(","):
        dtype = dict(f32=torch.float32, bf16=torch.bfloat16)[name]
        x, y = (torch.randn(n, n, dtype=dtype, device=a.device) for _ in "xy")
        z = torch.empty_like(x)
        out[name] = 2 * n**3 / best(lambda: torch.mm(x, y, out=z))
    x = torch.zeros(64 << 20, device=a.device)
    y = torch.empty_like(x)
    out["copy"] = 2 * x.numel() * 4 / best(lambda: y.copy_(x))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    for name in ("output", "like", "data", "model", "windows", "form"):
        parser.add_argument("--" + name)
    parser.add_argument("--number", default="f32")
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--shape", default="bert", choices=("gpt2", "bert"))
    for name, value in (("most", None), ("length", 384), ("count", 400), ("compile", 0),
                        ("steps", 3), ("batch", 12)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--started", type=float)
    a = parser.parse_args()
    work = dict(model=make_model, data=make_data, windows=make_windows, train=train,
                steps=steps, evaluate=evaluate, limits=limits)
    print(json.dumps(work[a.what](a)))


if __name__ == "__main__":
    main()
