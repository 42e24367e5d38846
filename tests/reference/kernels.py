"""Writes tests/golden/kernels/<operator>.safetensors: what PyTorch computes for the operators.

    python tests/reference/kernels.py tests/golden/kernels

Inputs are small integers over a power of two, so that BF16 and F16 hold them exactly; the gradient
of each output is the one that tests/check_op.h uses. Everything is computed in double precision and
stored as F32. Needs torch and safetensors.
"""

import os
import sys

sys.path.pop(0)  # a neighbour's name hides the library

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(0)


def numbers(*shape, scale=16):
    return (torch.randint(-40, 41, shape).double() / scale).requires_grad_()


def seed(y):
    i = torch.arange(y.numel(), dtype=torch.int64)
    return ((i * 7919 % 23).float() / 11 - 1).double().reshape(y.shape)


def save(folder, name, outputs, **tensors):
    """outputs: y by name; gradients of every floating input are added as d<input>."""
    for y in outputs.values():
        y.backward(seed(y), retain_graph=True)
    out = {}
    for key, x in {**tensors, **outputs}.items():
        out[key] = x.detach().float() if x.is_floating_point() else x.int()
        if key in tensors and x.is_floating_point() and x.grad is not None:
            out["d" + key] = x.grad.float()
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(folder, name + ".safetensors"))


def elementwise(folder):
    for name, f in {
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "tanh": torch.tanh,
        "softmax": lambda x: F.softmax(x, -1),
    }.items():
        x = numbers(7, 37, scale=8)
        save(folder, name, {"y": f(x)}, x=x)


def linear(folder):
    acts = {"": lambda u: u, "_gelu": F.gelu, "_gelu_tanh": lambda u: F.gelu(u, approximate="tanh")}
    for suffix, act in acts.items():
        x, w, b = numbers(11, 24), numbers(19, 24, scale=64), numbers(19)
        save(folder, "linear" + suffix, {"y": act(F.linear(x, w, b))}, x=x, w=w, b=b)


def rows(folder):
    words, places, kinds = numbers(29, 12), numbers(13, 12), numbers(2, 12)
    ids = torch.randint(0, 29, (23,))
    ids2 = torch.arange(23) % 13
    ids3 = (torch.arange(23) > 9).long()
    y = F.embedding(ids, words) + F.embedding(ids2, places) + F.embedding(ids3, kinds)
    save(folder, "embedding", {"y": y}, words=words, places=places, kinds=kinds, ids=ids, ids2=ids2,
         ids3=ids3)
    x, index = numbers(13, 9), torch.randint(0, 13, (17,))
    save(folder, "gather", {"y": x[index]}, x=x, index=index)


def adamw(folder):
    """Ten updates of AdamW with clipping, two groups: the first 20 elements have weight decay."""
    decayed, plain = numbers(20).detach().requires_grad_(), numbers(13).detach().requires_grad_()
    start = torch.cat([decayed, plain]).detach().clone()
    optimiser = torch.optim.AdamW(
        [{"params": [decayed], "weight_decay": 0.1}, {"params": [plain], "weight_decay": 0.0}],
        lr=0.01, betas=(0.9, 0.999), eps=1e-8)
    gradients, norms = [], []
    for _ in range(10):
        decayed.grad, plain.grad = numbers(20).detach(), numbers(13).detach()
        gradients.append(torch.cat([decayed.grad, plain.grad]).clone())
        norms.append(torch.nn.utils.clip_grad_norm_([decayed, plain], 1.0))
        optimiser.step()
    state = [optimiser.state[p] for p in (decayed, plain)]
    save_file({
        "start": start.float(), "gradients": torch.stack(gradients).float(),
        "norms": torch.stack(norms).float(), "w": torch.cat([decayed, plain]).detach().float(),
        "m": torch.cat([s["exp_avg"] for s in state]).float(),
        "v": torch.cat([s["exp_avg_sq"] for s in state]).float(),
    }, os.path.join(folder, "adamw.safetensors"))


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for write in (elementwise, linear, rows, adamw):
        write(sys.argv[1])
