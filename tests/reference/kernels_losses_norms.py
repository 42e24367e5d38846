"""Writes tests/golden/kernels/layernorm.safetensors, cross_entropy.safetensors and
span_cross_entropy.safetensors by PyTorch in double precision.

    python tests/reference/kernels_losses_norms.py tests/golden/kernels

Needs torch and safetensors.
"""

import sys

sys.path.pop(0)  # safetensors.py beside this file hides the library

import torch
import torch.nn.functional as F
from safetensors.torch import save_file


def seed_like(y):
    return (torch.arange(y.numel()) * 7919 % 23).double().view_as(y) / 11 - 1


def floats(**tensors):
    return {k: v.detach().float().contiguous() for k, v in tensors.items()}


def layernorm():
    x, residual = (torch.randn(5, 37).double().requires_grad_() for _ in range(2))
    weight, bias = (torch.randn(37).double().requires_grad_() for _ in range(2))
    names = dict(x=x, weight=weight, bias=bias, residual=residual)
    for t in names.values():
        t.data = t.data.float().double()  # what the file can hold
    total = x + residual
    y = F.layer_norm(total, (37,), weight, bias, 1e-5) + total
    (y * seed_like(y)).sum().backward()
    return floats(y=y, **names, **{"d" + k: t.grad for k, t in names.items()})


def cross_entropy():
    x = torch.randn(6, 11).mul(3).float().double().requires_grad_()
    target = torch.tensor([3, 0, -100, 10, 7, 7])
    out = dict(x=x)
    for smoothing in (0.0, 0.1):
        x.grad = None
        loss = F.cross_entropy(x, target, reduction="sum", label_smoothing=smoothing) / 4
        loss.backward()
        out[f"loss{smoothing}"], out[f"dx{smoothing}"] = loss, x.grad.clone()
    return floats(**out) | {"target": target.int()}


def span():
    """Hugging Face's loss: mean over start and end; positions beyond the length are ignored."""
    lengths, start, end = [5, 1, 9], [2, 0, 9], [4, 0, 3]
    x = torch.randn(sum(lengths), 2).mul(2).float().double().requires_grad_()
    loss, first = 0, 0
    for n, s, e in zip(lengths, start, end):
        for j, t in enumerate((s, e)):
            if t < n:
                loss = loss - torch.log_softmax(x[first : first + n, j], 0)[t] / 2 / len(lengths)
        first += n
    loss.backward()
    target = torch.tensor(list(zip(start, end)), dtype=torch.int32)
    return floats(x=x, loss=loss, dx=x.grad) | {"target": target}


torch.manual_seed(1)
for name, make in dict(layernorm=layernorm, cross_entropy=cross_entropy, span_cross_entropy=span).items():
    save_file(make(), f"{sys.argv[1]}/{name}.safetensors")
