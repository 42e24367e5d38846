"""Writes tests/golden/kernels/attention.safetensors: PyTorch's attention on padded batches.

    python tests/reference/kernels_attention.py tests/golden/kernels/attention.safetensors

Case i: i.x [N, (H + 2 KV) D] packed rows of q, k, v; i.y and i.dx as PyTorch gives them in double
precision, sequence by sequence taken out of the padding. The seed of the gradient is that of
tests/check_op.h. Needs torch and safetensors.
"""

import sys

sys.path.pop(0)  # safetensors.py beside this file hides the library

import torch
from safetensors.torch import save_file

LENGTHS = [7, 1, 19]
CASES = [(3, 3, 16, False), (4, 2, 8, True)]  # heads, kv heads, width, causal


def case(heads, kv_heads, D, causal):
    N, T, B = sum(LENGTHS), max(LENGTHS), len(LENGTHS)
    x = torch.randn(N, (heads + 2 * kv_heads) * D)
    rows = x.double().requires_grad_()
    padded = torch.zeros(B, T, x.shape[1], dtype=torch.float64)
    mask = torch.zeros(B, 1, T, T, dtype=torch.bool)
    start = 0
    for b, n in enumerate(LENGTHS):
        padded[b, :n] = rows[start : start + n]
        mask[b, :, :, :n] = True
        start += n
    if causal:
        mask &= torch.ones(T, T, dtype=torch.bool).tril()
    q, k, v = padded.split([heads * D, kv_heads * D, kv_heads * D], dim=2)
    split = lambda t, h: t.reshape(B, T, h, D).transpose(1, 2)
    y = torch.nn.functional.scaled_dot_product_attention(
        split(q, heads), split(k, kv_heads), split(v, kv_heads), attn_mask=mask, enable_gqa=True
    )
    y = y.transpose(1, 2).reshape(B, T, heads * D)
    y = torch.cat([y[b, :n] for b, n in enumerate(LENGTHS)])
    seed = (torch.arange(y.numel()) * 7919 % 23).double() / 11 - 1
    (y * seed.view_as(y)).sum().backward()
    return x, y.detach().float(), rows.grad.float()


torch.manual_seed(1)
out = {}
for i, arguments in enumerate(CASES):
    out[f"{i}.x"], out[f"{i}.y"], out[f"{i}.dx"] = case(*arguments)
save_file({k: v.contiguous() for k, v in out.items()}, sys.argv[1])
