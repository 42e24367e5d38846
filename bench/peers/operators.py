"""Times operators of Cairn and of PyTorch by turns; operators.sh says what and how.

    operators.py all --bench PROGRAM --threads N --rounds N --repeats N [--only A,B] [--tiny 1]
    operators.py torch OPERATOR --threads N --repeats N --tiny 0|1     prints its median in ms
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CACHE = 64 << 20  # bytes that the buffers of an operator must exceed together
SHAPES = {
    "lstm": dict(B=64, T=200, C=256, H=256),
    "gru": dict(B=64, T=200, C=256, H=256),
    "attention": dict(B=8, T=512, H=12, D=64),
    "layernorm": dict(N=4096, C=768),
    "cross_entropy": dict(N=512, V=30522),
}
TINY = {
    "lstm": dict(B=3, T=5, C=8, H=16),
    "gru": dict(B=3, T=5, C=8, H=16),
    "attention": dict(B=2, T=16, H=2, D=32),
    "layernorm": dict(N=8, C=64),
    "cross_entropy": dict(N=8, V=64),
}


def shape_of(name, a):
    return (TINY if a.tiny else SHAPES)[name]


def make(torch, name, k):
    """(what to differentiate, a function of it that gives y or a loss)."""
    import torch.nn.functional as F

    if name in ("lstm", "gru"):
        net = (torch.nn.LSTM if name == "lstm" else torch.nn.GRU)(k["C"], k["H"])
        x = torch.randn(k["T"], k["B"], k["C"], requires_grad=True)
        return [x, *net.parameters()], lambda: net(x)[0]
    if name == "attention":
        qkv = [torch.randn(k["B"], k["H"], k["T"], k["D"], requires_grad=True) for _ in range(3)]
        return qkv, lambda: F.scaled_dot_product_attention(*qkv)
    if name == "layernorm":
        x = torch.randn(k["N"], k["C"], requires_grad=True)
        w, b = (torch.randn(k["C"], requires_grad=True) for _ in range(2))
        return [x, w, b], lambda: F.layer_norm(x, (k["C"],), w, b)
    x = torch.randn(k["N"], k["V"], requires_grad=True)
    target = torch.randint(0, k["V"], (k["N"],))
    return [x], lambda: F.cross_entropy(x, target)


def time_torch(a):
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    first = make(torch, a.operator, shape_of(a.operator, a))
    bytes_of_one = sum(x.numel() * x.element_size() for x in first[0])
    count = min(64, -(-CACHE // bytes_of_one)) if not a.tiny else 1
    cases = [first] + [make(torch, a.operator, shape_of(a.operator, a)) for _ in range(count - 1)]
    dy = torch.randn_like(first[1]())

    def once(case):
        inputs, run = case
        for x in inputs:
            x.grad = None
        began = time.perf_counter()
        y = run()
        y.backward(dy)
        return time.perf_counter() - began

    for case in cases:
        once(case)
    times = [once(cases[i % len(cases)]) for i in range(max(a.repeats, 3))]
    print(json.dumps(dict(median_ms=statistics.median(times) * 1e3, torch=torch.__version__)))


def environment(a):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    return env | {"OMP_NUM_THREADS": str(a.threads)}


def output_of(command, a):
    p = subprocess.run(command, env=environment(a), capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"operators.sh: {' '.join(command)}: {p.stderr.strip()[-1000:]}")
    return p.stdout


def cairn_ms(name, a):
    """(both passes, the time the machine's own rates would need for them)"""
    shape = ",".join(f"{k}={v}" for k, v in shape_of(name, a).items())
    rows = json.loads(output_of(
        [a.bench, name, "--shape", shape, "--dtype", "f32", "--device", "cpu", "--json",
         "--threads", str(a.threads), "--repeats", str(a.repeats)], a))
    passes = {r["pass"]: r for r in rows if r["operator"] == name and r["library"] == "cairn"}
    if set(passes) != {"forward", "backward"}:
        sys.exit(f"operators.sh: {a.bench} timed of {name}: {', '.join(passes) or 'nothing'}; "
                 "expected forward and backward")
    return tuple(sum(r[key] for r in passes.values()) for key in ("median_ms", "limit_ms"))


def torch_ms(name, a):
    text = output_of([sys.executable, os.path.abspath(__file__), "torch", name, "--threads",
                      str(a.threads), "--repeats", str(a.repeats), "--tiny", str(a.tiny)], a)
    return json.loads(text)["median_ms"]


def compare(a):
    names = [n for n in SHAPES if not a.only or n in a.only.split(",")]
    if a.only and len(names) != len(a.only.split(",")):
        sys.exit(f"operators.sh: ONLY={a.only}, expected some of {','.join(SHAPES)}")
    ours, limits, theirs = ({n: [] for n in names} for _ in range(3))
    for i in range(a.rounds):
        for name in names:
            took, limit = cairn_ms(name, a)
            ours[name].append(took)
            limits[name].append(limit)
            theirs[name].append(torch_ms(name, a))
            print(f"round {i + 1} of {a.rounds}: {name}: Cairn {took:.3f} ms (limit {limit:.3f}), "
                  f"PyTorch {theirs[name][-1]:.3f} ms", file=sys.stderr, flush=True)
    ratios = []
    print(f"{'operator':<14} {'least':>6} {'most':>6} {'median':>6} {'limit':>6}   PyTorch's time over "
          f"Cairn's, {a.threads} threads, F32, forward and backward")
    for name in names:
        by_round = [t / o for t, o in zip(theirs[name], ours[name])]
        peer = statistics.median(theirs[name])
        ratio, most = (peer / statistics.median(x[name]) for x in (ours, limits))
        print(f"{name:<14} {min(by_round):6.2f} {max(by_round):6.2f} {ratio:6.2f} {most:6.2f}")
        ratios.append(f"{name}={ratio:.2f}")
    print("limit: what the machine's own rates of copies and products, measured in the same run, would give")
    print(" ".join(ratios))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["all", "torch"])
    parser.add_argument("operator", nargs="?")
    parser.add_argument("--bench")
    parser.add_argument("--only", default="")
    for name, value in (("threads", 2), ("rounds", 5), ("repeats", 11), ("tiny", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    a = parser.parse_args()
    if a.what == "torch":
        time_torch(a)
    else:
        compare(a)


if __name__ == "__main__":
    main()
