"""Writes tests/golden/kernels/rmsnorm.safetensors, swiglu.safetensors, linear_cross_entropy.safetensors
by PyTorch, and rope.safetensors by the rotary embeddings of transformers, in double precision.

    python tests/reference/kernels_llm.py tests/golden/kernels

Needs torch, transformers and safetensors.
"""

import contextlib
import sys

sys.path.pop(0)  # safetensors.py beside this file hides the library

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as turn_interleaved
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as turn_halves


def seed_like(y):
    return (torch.arange(y.numel()) * 7919 % 23).double().view_as(y) / 11 - 1


def normal(*shape, scale=1):
    """Numbers that F32 holds."""
    return torch.randn(*shape).mul(scale).float().double().requires_grad_()


def floats(**tensors):
    return {k: v.detach().float().contiguous() for k, v in tensors.items()}


def with_gradients(y, **inputs):
    (y * seed_like(y)).sum().backward()
    return floats(y=y, **inputs, **{"d" + k: t.grad for k, t in inputs.items()})


def rmsnorm():
    x, residual, weight = normal(5, 37), normal(5, 37), normal(37)
    total = x + residual
    return with_gradients(F.rms_norm(total, (37,), weight, 1e-5) + total, x=x, weight=weight,
                          residual=residual)


def swiglu():
    gate, up = normal(7, 19, scale=3), normal(7, 19)
    return with_gradients(F.silu(gate) * up, gate=gate, up=up)


def linear_cross_entropy():
    x, weight = normal(6, 9), normal(11, 9)
    target = torch.tensor([3, 0, -100, 10, 7, 7])
    out = floats(x=x, weight=weight) | {"target": target.int()}
    for smoothing in (0.0, 0.1):
        x.grad = weight.grad = None
        loss = F.cross_entropy(x @ weight.T, target, reduction="sum", label_smoothing=smoothing) / 4
        loss.backward()
        out |= floats(**{f"loss{smoothing}": loss, f"dx{smoothing}": x.grad,
                         f"dweight{smoothing}": weight.grad})
    return out


@contextlib.contextmanager
def double_precision():
    """transformers computes frequencies in F32, of which far positions show the rounding."""
    kept = torch.float, torch.float32, torch.Tensor.float
    torch.float, torch.float32, torch.Tensor.float = torch.float64, torch.float64, torch.Tensor.double
    yield
    torch.float, torch.float32, torch.Tensor.float = kept


HEADS, KV, D = 2, 1, 16
FACTORS = [[1 + i / 8 for i in range(8)], [2 + i * i / 4 for i in range(8)]]
SCALINGS = {
    "plain": (dict(rope_type="default"), 10000.0),
    "linear": (dict(rope_type="linear", factor=4.0), 10000.0),
    "dynamic": (dict(rope_type="dynamic", factor=2.0), 10000.0),
    "yarn": (dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=64), 1000.0),
    "yarn_mscale": (dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=64, mscale=0.707,
                         mscale_all_dim=1.5, beta_fast=16, beta_slow=2, truncate=False), 1000.0),
    "llama3": (dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                    original_max_position_embeddings=64), 500.0),
    "longrope": (dict(rope_type="longrope", short_factor=FACTORS[0], long_factor=FACTORS[1], factor=4.0,
                      original_max_position_embeddings=32), 10000.0),
}
# two sequences, one of which is beyond every limit
POSITIONS = [list(range(5)), [95, 96, 97, 98, 99, 100, 4000]]


def frequencies(kind, theta, length, width):
    config = LlamaConfig(hidden_size=HEADS * D, num_attention_heads=HEADS, num_key_value_heads=KV,
                         head_dim=width, max_position_embeddings=64, rope_parameters=kind | {"rope_theta": theta})
    if kind["rope_type"] == "default":
        return theta ** (-torch.arange(0, width, 2).double() / width), 1.0
    with double_precision():
        return ROPE_INIT_FUNCTIONS[kind["rope_type"]](config, "cpu", seq_len=length)


def turn(x, cos, sin, interleaved):
    """x [rows, heads, rotary]; cos, sin [rows, rotary / 2]"""
    if interleaved:
        return turn_interleaved(x[None], sin[None], cos[None])[0]
    cos, sin = torch.cat([cos, cos], -1)[None], torch.cat([sin, sin], -1)[None]
    return turn_halves(x.transpose(0, 1)[None], x.transpose(0, 1)[None], cos, sin)[0][0].transpose(0, 1)


def rope_case(x, kind, theta, interleaved=False, rotary=D):
    heads = x.view(-1, HEADS + 2 * KV, D)
    parts, first = [], 0
    for positions in POSITIONS:
        f, magnitude = frequencies(kind, theta, positions[-1] + 1, rotary)
        angle = torch.tensor(positions).double()[:, None] * f.double()
        rows = heads[first : first + len(positions)]
        turned = turn(rows[:, : HEADS + KV, :rotary], angle.cos() * magnitude, angle.sin() * magnitude,
                      interleaved)
        parts.append(torch.cat([torch.cat([turned, rows[:, : HEADS + KV, rotary:]], -1), rows[:, HEADS + KV :]],
                               1).flatten(1))
        first += len(positions)
    return torch.cat(parts)


def rope():
    x = normal(12, (HEADS + 2 * KV) * D)
    out = floats(x=x) | {"position": torch.tensor(sum(POSITIONS, [])).int(),
                         "table": torch.tensor(FACTORS).float()}
    cases = {name: (kind, theta) for name, (kind, theta) in SCALINGS.items()}
    cases["interleaved"] = (*SCALINGS["plain"], True, 12)
    cases["partial"] = (*SCALINGS["llama3"], False, 10)
    for name, case in cases.items():
        x.grad = None
        y = rope_case(x, *case)
        (y * seed_like(y)).sum().backward()
        out |= floats(**{f"y_{name}": y, f"dx_{name}": x.grad})
    return out


if __name__ == "__main__":
    torch.manual_seed(2)
    for make in (rmsnorm, swiglu, linear_cross_entropy, rope):
        save_file(make(), f"{sys.argv[1]}/{make.__name__}.safetensors")
