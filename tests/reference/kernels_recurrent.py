"""Writes tests/golden/kernels/rnn.safetensors, lstm.safetensors and gru.safetensors: two layers, both
directions, a packed batch in no order of length, by PyTorch in double precision.

    python tests/reference/kernels_recurrent.py tests/golden/kernels

Rows lie one sequence after another; `weights` holds for each layer w_ih, w_hh, b_ih, b_hh, in each the
forward direction and then the reverse one. Looked at, with gradients: y, and `states`, which is the
last states of the last layer plus some rows of each direction of y. Needs torch and safetensors.
"""

import sys

sys.path.pop(0)  # safetensors.py beside this file hides the library

import torch
from safetensors.torch import save_file
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence, pad_packed_sequence

LENGTHS, C, H, LAYERS = [4, 7, 1, 9, 4], 6, 10, 2
B, D, N = len(LENGTHS), 2, sum(LENGTHS)


def seed_like(y):
    return ((torch.arange(y.numel()) * 7919 % 23).float() / 11 - 1).double().view_as(y)


def weights_of(net, gradient=False):
    parts = []
    for layer in range(LAYERS):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            for suffix in ("", "_reverse"):
                p = getattr(net, f"{name}_l{layer}{suffix}")
                parts.append((p.grad if gradient else p).detach().flatten())
    return torch.cat(parts)


def look(net, x, h0, c0):
    rows = x.split(LENGTHS)
    packed = pack_padded_sequence(pad_sequence(rows), LENGTHS, enforce_sorted=False)
    lstm = isinstance(net, torch.nn.LSTM)
    out, last = net(packed, (h0, c0) if lstm else h0)
    padded, _ = pad_packed_sequence(out)
    y = torch.cat([padded[:n, b] for b, n in enumerate(LENGTHS)])
    index = torch.tensor([-1 if i % 5 == 4 else i * 31 % N for i in range(D * B)])
    picked = torch.where(index[:, None] < 0, 0.0, y[index])
    states = sum(s[-D:].reshape(D * B, H) for s in (last if lstm else (last,)))
    return {"y": y, "states": states + picked[:, :H] + picked[:, H:]}


torch.manual_seed(2)
for name, kind in dict(rnn=torch.nn.RNN, lstm=torch.nn.LSTM, gru=torch.nn.GRU).items():
    net = kind(C, H, LAYERS, bidirectional=True).double()
    for p in net.parameters():
        p.data = p.data.float().double()  # what the file can hold
    inputs = {"x": torch.randn(N, C)}
    for state in ("h0", "c0"):
        inputs[state] = torch.randn(LAYERS * D, B, H)
    inputs = {k: v.double().requires_grad_() for k, v in inputs.items()}
    result = {"weights": weights_of(net)} | inputs
    for which in ("y", "states"):
        for p in [*net.parameters(), *inputs.values()]:
            p.grad = None
        value = look(net, **inputs)[which]
        (value * seed_like(value)).sum().backward()
        result[which] = value
        result[f"{which}.dweights"] = weights_of(net, gradient=True)
        result |= {f"{which}.d{k}": v.grad for k, v in inputs.items() if v.grad is not None}
    save_file({k: v.detach().float().contiguous() for k, v in result.items()},
              f"{sys.argv[1]}/{name}.safetensors")
