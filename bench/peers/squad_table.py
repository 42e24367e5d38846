"""The table of squad.py: rates, ratios, shares of the machine's limit, memory, wall-clock."""

import os
import platform
import re
import shutil
import statistics
import time

import squad
from squad import CASES, best_way, flops_of, median_of, torch_rates, warm

TITLES = {
    "f32_padded": "F32, PyTorch padded to 384",
    "f32_longest": "F32, PyTorch padded to the batch's longest",
    "f32_unpadded": "F32, windows of one length",
    "bf16_unpadded": "BF16, windows of one length",
}


def processor():
    """Its name, which on rented machines says little, and the widest products that it has."""
    with open("/proc/cpuinfo") as f:
        text = f.read()
    found = re.search(r"model name\s*:\s*(.*)", text)
    widest = next((title for flag, title in (("avx512_bf16", "AVX-512 BF16"), ("avx512f", "AVX-512"),
                                             ("avx2", "AVX2")) if f" {flag}" in text), "")
    return f"{found.group(1).strip() if found else platform.machine()} {widest}".strip()


def slug(threads):
    name = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return f"{name}-{threads}-threads"


TOKENISED = 8000  # questions, so that what Cairn does else is little beside it


def wall_clock(bench):
    """Seconds of tokenising, of evaluation, of both sides."""
    a, out = bench.a, {}
    windows = bench.once("tokenise", lambda: bench.peer(
        "windows", "--model", bench.models["minilm"], "--data", bench.data["real"], "--most", TOKENISED,
        "--output", bench.path("tokenise.npz")))
    out["tokenise"] = dict(questions=windows["questions"], torch=windows["seconds"])

    def cairn_tokenise():
        recipe = bench.recipe("minilm", "real", "f32", bench.path("dry"), samples=TOKENISED)
        cold, warm = [], []
        for _ in range(5):
            cache = bench.path("cache-tokenise")
            shutil.rmtree(cache, ignore_errors=True)
            env = dict(bench.env, CAIRN_CACHE=cache)
            for seconds in (cold, warm):
                seconds.append(bench.process([a.cairn, "train", recipe, "--dry-run"], env)[1])
        return dict(seconds=min(cold) - min(warm))

    out["tokenise"]["cairn"] = bench.once("cairn-tokenise", cairn_tokenise)["seconds"]
    if a.evaluation and "minilm" in a.models:
        trained = bench.path("trained")
        data = os.path.abspath(a.evaluation)

        def cairn_evaluate():
            began = time.time()
            _, _, memory = bench.process(
                [a.cairn, "predict", "squad", trained, "--data", data, "--output",
                 bench.path("predictions.json"), "--threads", str(a.threads)])
            return dict(seconds=time.time() - began, memory=memory)

        out["evaluate"] = dict(
            cairn=bench.once("cairn-evaluate", cairn_evaluate),
            torch=bench.once(
                "torch-evaluate",
                lambda: bench.peer("evaluate", "--model", trained, "--data", data)))
    out["first"] = {m: bench.first_step(m) for m in a.models.split(",")}
    return out


def spread_of(values):
    """Half the distance of the quartiles, as a text: a share of the median."""
    if len(values) < 4:
        return "too few steps"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{(high - low) / 2 / middle:.1%}"


def row(bench, found, model, case):
    """All numbers of one case."""
    kind, dtype, _, _ = CASES[case]
    way = best_way(found[model, case])
    torch_runs = [r for r in found[model, case] if tuple(r["way"]) == way and "failed" not in r]
    cairn_runs = found[model, kind, dtype]
    lengths = [s["lengths"] for s in torch_runs[0]["steps"]]

    tokens = sum(map(sum, lengths))
    flops = sum(flops_of(model, n) for n in lengths) / tokens  # of a token of these windows

    cairn = median_of(cairn_runs, lambda r: warm(r["rates"]))
    torch = median_of(torch_runs, torch_rates)
    peak = lambda runs, key: statistics.median(r[key] for r in runs)
    return dict(
        model=model, case=case, cairn=cairn, torch=torch, ratio=cairn / torch,
        way=way, cairn_flops=cairn * flops,
        torch_flops=torch * flops,
        cairn_memory=peak(cairn_runs, "memory"), torch_memory=peak(torch_runs, "memory"),
        torch_imports=peak(torch_runs, "memory_imports"),
        losses=(cairn_runs[0]["losses"][0], torch_runs[0]["steps"][0]["loss"]),
        spread=spread_of([x for r in cairn_runs for x in warm(r["rates"])]),
    )


def way_text(way):
    number, compiled = way
    return {"f32": "", "autocast": "autocast, ", "bf16": "BF16 weights, "}[number] + (
        "torch.compile" if compiled else "eager")


def limits_of(bench, model):
    """The best that was seen: torch's large product and cairn bench's measure, torch's copy."""
    found = [bench.once(f"limits-{model}-{turn}", None) for turn in range(bench.a.rounds)]
    best = {k: max(f[k] for f in found) for k in found[0]}
    return {k: max(v, bench.product_limit(k)) if k != "copy" else v for k, v in best.items()}


def speed_lines(rows, limits):
    yield "| model | case | PyTorch's way | Cairn / PyTorch | Cairn, share of limit | PyTorch, share |"
    yield "|---|---|---|---|---|---|"
    for r in rows:
        limit = limits[r["model"]]["bf16" if r["case"].startswith("bf16") else "f32"]
        yield (f"| {r['model']} | {TITLES[r['case']]} | {way_text(r['way'])} | {r['ratio']:.2f} "
               f"| {r['cairn_flops'] / limit:.0%} | {r['torch_flops'] / limit:.0%} |")


def memory_lines(rows):
    yield "| model | case | Cairn / PyTorch, peak memory | without what importing costs |"
    yield "|---|---|---|---|"
    for r in rows:
        rest = r["torch_memory"] - r["torch_imports"]
        yield (f"| {r['model']} | {TITLES[r['case']]} | {r['cairn_memory'] / r['torch_memory']:.2f} "
               f"| {r['cairn_memory'] / rest:.2f} |")


def detail_lines(rows, limits):
    yield "| model | case | Cairn tokens/s | PyTorch tokens/s | Cairn MB | PyTorch MB | of which imports | first loss | Cairn's spread |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in rows:
        yield (f"| {r['model']} | {TITLES[r['case']]} | {r['cairn']:.0f} | {r['torch']:.0f} "
               f"| {r['cairn_memory'] / 1e6:.0f} | {r['torch_memory'] / 1e6:.0f} "
               f"| {r['torch_imports'] / 1e6:.0f} | {r['losses'][0]:.3f}, {r['losses'][1]:.3f} "
               f"| {r['spread']} |")
    yield ""
    for model, limit in limits.items():
        products = ", ".join(f"{k.upper()} products {limit[k] / 1e9:.0f} GFLOP/s"
                             for k in ("f32", "bf16") if k in limit)
        yield (f"Limits measured among the runs of {model}: {products}, copy "
               f"{limit['copy'] / 1e9:.1f} GB/s.")


def clock_lines(clock):
    t = clock["tokenise"]
    yield (f"- Tokenising {t['questions']} questions into windows: Cairn / transformers' fast "
           f"tokenizer in run_qa's way {t['cairn'] / t['torch']:.2f}.")
    if "evaluate" in clock:
        c, e = clock["evaluate"]["cairn"], clock["evaluate"]["torch"]
        yield (f"- Evaluating {e['questions']} questions (MiniLM-L6; Cairn: the whole command; "
               f"PyTorch: tokenising and forward of windows padded to 384, batches of 8, no imports): "
               f"{c['seconds'] / (e['tokenise'] + e['forward']):.2f}; peak memory "
               f"{c['memory'] / e['memory']:.2f}.")


    for model, first in clock["first"].items():
        ratio = first["cairn"]["first_step"] / first["torch"]["first_step"]
        yield (f"- Command to the end of the first update ({model}, F32, features prepared before, "
               f"PyTorch eager, padded to the longest): {ratio:.2f}.")


def failures(found):
    for key, runs in found.items():
        for r in runs:
            if "failed" in r:
                reason = r["failed"].strip().split("\n")[-1][:160]
                yield f"- {key[0]}, {TITLES[key[1]]}, {way_text(r['way'])}: {reason}"


def write(bench, found, clock):
    """Writes the table; gives the last line."""
    a = bench.a
    models = a.models.split(",")
    rows = [row(bench, found, m, c) for m in models for c in bench.cases]
    limits = {m: limits_of(bench, m) for m in models}
    some = next(r for r in found[models[0], rows[0]["case"]] if "failed" not in r)
    lines = [
        f"# squad: Cairn beside PyTorch on {processor()}, {a.threads} threads",
        "",
        f"`bench/peers/squad.sh`, {time.strftime('%Y-%m-%d')}; torch {some['torch']}, transformers "
        f"{some['transformers']}, SDPA attention, fused AdamW, dropout on, "
        f"{'the faster of eager and torch.compile' if a.compile else 'eager'}; batches of {squad.BATCH}, the same windows in the same order; median over "
        f"the steps after warm-up of {a.rounds} interleaved run(s) each. Tokens are real ones: "
        "padding does not count. The limit is the better of a 3072 x 3072 product by torch and of "
        "what `cairn bench` measures (oneDNN's products, multiply-adds in registers), in the same "
        "run; FLOPs as in flops_of().",
        "", *speed_lines(rows, limits), "", *memory_lines(rows), "", *clock_lines(clock), "",
        "As measured:", "", *detail_lines(rows, limits),
    ]
    failed = list(failures(found))
    if failed:
        lines += ["", "What did not work:", "", *failed]
    path = os.path.join(a.output, f"squad-{slug(a.threads)}.md")
    os.makedirs(a.output, exist_ok=True)
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    squad.say("\n".join(lines))
    last = {r["case"]: r for r in rows if r["model"] == models[-1]}
    text = " ".join(f"{c}={last[c]['ratio']:.2f}" for c in bench.cases)
    plain = last.get("f32_unpadded")
    return text + (f" memory={plain['cairn_memory'] / plain['torch_memory']:.2f}" if plain else "")
