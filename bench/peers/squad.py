"""Runs Cairn and PyTorch + transformers in turn on the same work, and writes the table.

Called by squad.sh, which says what is measured. Every measurement is a process of its own and leaves
WORK/<name>.json; one that is there already is not made again.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# (name, layers, width, intermediate) of the two models
SHAPES = {"minilm": (6, 384, 1536), "bert-base": (12, 768, 3072)}
LENGTH = 384
BATCH = 12
# case: data, Cairn's dtype, PyTorch's form, PyTorch's numbers
CASES = {
    "f32_padded": ("real", "f32", "padded", ("f32",)),
    "f32_longest": ("real", "f32", "longest", ("f32",)),
    "f32_unpadded": ("one", "f32", "plain", ("f32",)),
    "bf16_unpadded": ("one", "bf16", "plain", ("autocast", "bf16")),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, a):
        self.a = a
        self.work = os.path.abspath(a.work)
        os.makedirs(self.work, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.env["OMP_NUM_THREADS"] = str(a.threads)
        self.env["CAIRN_CACHE"] = os.path.join(self.work, "cache")
        self.env["HF_HUB_OFFLINE"] = "1"
        self.models, self.data = {"minilm": os.path.abspath(a.model)}, {}
        self.cases = {name: CASES[name] for name in a.cases.split(",")}

    def path(self, name):
        return os.path.join(self.work, name)

    def once(self, name, make):
        """The saved result of this name, or make()'s, saved."""
        path = self.path(name + ".json")
        if os.path.exists(path):
            with open(path) as f:
                return json.load(f)
        say(name)
        result = make()
        with open(path + ".part", "w") as f:
            json.dump(result, f)
        os.rename(path + ".part", path)
        return result

    def process(self, command, env=None):
        """Runs it; gives (standard output, seconds, peak bytes, error text). Raises where it fails."""
        with open(self.path("stderr.txt"), "w") as errors:
            began = time.time()
            p = subprocess.Popen(command, env=env or self.env, stdout=subprocess.PIPE, stderr=errors)
            text = p.stdout.read().decode()
            _, status, usage = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode:
            with open(self.path("stderr.txt")) as f:
                raise RuntimeError(f.read()[-2000:] or f"exit {p.returncode}")
        return text, time.time() - began, usage.ru_maxrss * 1024

    def peer(self, *words):
        command = [sys.executable, os.path.join(HERE, "peer.py"), *map(str, words)]
        return json.loads(self.process(command)[0].strip().split("\n")[-1])

    def prepare(self):
        self.models["bert-base"] = self.path("bert-base")
        like = self.models["minilm"]
        self.once("make-bert-base", lambda: self.peer(
            "model", "--output", self.models["bert-base"], "--like", like))
        self.data["real"] = os.path.abspath(self.a.data)
        self.data["one"] = self.path("one-length.json")
        self.once("make-one-length", lambda: self.peer(
            "data", "--like", like, "--data", self.data["real"], "--most", 2 * self.a.samples,
            "--output", self.data["one"], "--length", LENGTH, "--count", self.a.samples // 4))
        for kind in ("real", "one"):
            self.once("windows-" + kind, lambda: self.peer(
                "windows", "--model", like, "--data", self.data[kind], "--most", self.a.samples,
                "--output", self.path(kind + ".npz")))

    def steps(self, model):
        return self.a.steps or (16 if model == "minilm" else 6)

    def recipe(self, model, kind, dtype, output, steps=None, samples=None):
        keys = dict(
            task="squad", model=self.models[model], train_data=self.data[kind],
            max_train_samples=samples or self.a.samples, output_dir=output, max_seq_length=LENGTH,
            doc_stride=128, batch_size=BATCH, max_steps=steps or self.steps(model), learning_rate=3e-5,
            lr_scheduler="linear", optimizer="adamw", weight_decay=0, max_grad_norm=1, seed=42,
            logging_steps=1, save_steps=1000000, threads=self.a.threads, dtype=dtype, device="cpu",
        )
        if kind == "one":
            del keys["max_train_samples"]
        path = self.path("recipe.yaml")
        with open(path, "w") as f:
            f.writelines(f"{k}: {json.dumps(v)}\n" for k, v in keys.items())
        return path

    def cairn(self, model, kind, dtype, steps=None):
        output = self.path("run")
        shutil.rmtree(output, ignore_errors=True)
        recipe = self.recipe(model, kind, dtype, output, steps)
        began = time.time()
        _, _, memory = self.process([self.a.cairn, "train", recipe])
        with open(os.path.join(output, "metrics.jsonl")) as f:
            lines = [json.loads(x) for x in f]
        lines = [x for x in lines if "train/tokens_per_second" in x]
        if model == "minilm" and kind == "real" and not steps:
            shutil.rmtree(self.path("trained"), ignore_errors=True)
            shutil.copytree(os.path.join(output, "model"), self.path("trained"))
        shutil.rmtree(output, ignore_errors=True)
        return dict(
            rates=[x["train/tokens_per_second"] for x in lines if x["train/tokens_per_second"] > 0],
            losses=[x["train/loss"] for x in lines],
            first_step=lines[0]["time"] - began,
            memory=memory,
        )

    def torch(self, model, kind, form, number, compiled, steps=None):
        return self.peer(
            "train", "--model", self.models[model], "--windows", self.path(kind + ".npz"),
            "--form", form, "--number", number, "--compile", int(compiled),
            "--steps", steps or self.steps(model), "--batch", BATCH, "--started", time.time())

    def product_limit(self, dtype):
        """FLOP/s, the ceiling that cairn bench measures before its rows."""

        def measured():
            text = self.process([self.a.cairn, "bench", "linear", "--shape", "N=64,C=64,O=64", "--dtype",
                                 dtype, "--pass", "forward", "--repeats", "1", "--threads",
                                 str(self.a.threads), "--json"])[0]
            return dict(rate=json.loads(text)[0]["matrix_flops_per_second"])

        return self.once(f"product-limit-{dtype}", measured)["rate"]

    def attempt(self, name, make):
        """Like once(), but what fails is recorded."""

        def guarded():
            try:
                return make()
            except RuntimeError as error:
                say(f"{name} failed: {str(error)[-400:]}")
                return dict(failed=str(error)[-400:])

        return self.once(name, guarded)

    def measure(self):
        """A B A B: in each round Cairn, then PyTorch in every form; the first round tries eager and
        compiled and both kinds of BF16, later rounds the quicker one."""
        found = {}
        for model in self.a.models.split(","):
            for turn in range(self.a.rounds):
                self.once(f"limits-{model}-{turn}", lambda: self.peer(
                    "limits", "--dtypes", ",".join(sorted({c[1] for c in self.cases.values()}))))
                seen = set()
                for case, (kind, dtype, _, _) in self.cases.items():
                    if (kind, dtype) not in seen:
                        seen.add((kind, dtype))
                        key = (model, kind, dtype)
                        found.setdefault(key, []).append(self.once(
                            f"cairn-{model}-{kind}-{dtype}-{turn}",
                            lambda: self.cairn(model, kind, dtype)))
                    self.measure_torch(found, model, case, turn)
        return found

    def first_step(self, model):
        """Seconds from the command to the end of the first update, features prepared before."""
        return dict(
            cairn=self.once(f"first-cairn-{model}", lambda: self.cairn(model, "real", "f32", 1)),
            torch=self.once(f"first-torch-{model}", lambda: self.torch(
                model, "real", "longest", "f32", False, 1)))

    def measure_torch(self, found, model, case, turn):
        kind, _, form, numbers = CASES[case]
        ways = [(n, c) for n in numbers for c in ((0, 1) if self.a.compile else (0,))]
        if turn > 0:
            ways = [best_way(found[model, case])]
        for number, compiled in ways:
            name = f"torch-{model}-{case}-{number}-{'compiled' if compiled else 'eager'}-{turn}"
            result = self.attempt(
                name, lambda: self.torch(model, kind, form, number, compiled))
            found.setdefault((model, case), []).append(dict(result, way=(number, compiled)))


def warm(values):
    """Without warm-up: the first quarter, at least the first step and at most three."""
    return values[min(3, max(1, len(values) // 4)):] or values[-1:]


def torch_rates(run):
    """Of warm steps. One that takes over three times as long as the median compiles, for a shape
    that it meets anew."""
    steps = warm(run["steps"])
    most = 3 * statistics.median(s["seconds"] for s in steps)
    return [sum(s["lengths"]) / s["seconds"] for s in steps if s["seconds"] <= most]


def best_way(runs):
    good = [r for r in runs if "failed" not in r]
    best = max(good, key=lambda r: statistics.median(torch_rates(r)))
    return tuple(best["way"])


def flops_of(model, lengths):
    """Multiplications and additions of one update, forward and backward: 6 for each weight of a
    matrix product and row, 12 C for each pair of query and key of each layer. What is computed
    again in backward does not count, nor does padding."""
    layers, C, F = SHAPES[model]
    weights = layers * (4 * C * C + 2 * C * F) + 2 * C
    return 6 * weights * sum(lengths) + 12 * layers * C * sum(t * t for t in lengths)


def median_of(runs, value):
    """The median over all warm steps of all runs."""
    return statistics.median([x for r in runs for x in value(r)])


def main():
    parser = argparse.ArgumentParser()
    for name in ("cairn", "model", "data", "work", "output"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--models", default="minilm,bert-base")
    parser.add_argument("--cases", default=",".join(CASES))
    for name, value in (("steps", 0), ("rounds", 2), ("samples", 3000), ("compile", 1),
                        ("threads", os.cpu_count())):
        parser.add_argument("--" + name, type=int, default=value)
    a = parser.parse_args()
    import squad_table

    bench = Bench(a)
    bench.prepare()
    found = bench.measure()
    clock = squad_table.wall_clock(bench)
    print(squad_table.write(bench, found, clock))


if __name__ == "__main__":
    main()
