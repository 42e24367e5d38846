"""Writes tests/golden/stored.safetensors: small tensors of each type, by the reference library.

    python tests/reference/stored.py write tests/golden/stored.safetensors
    python tests/reference/stored.py read FILE      # prints every tensor of FILE, by name

Needs torch and safetensors.
"""

import sys

sys.path.pop(0)  # this file's own name hides the library's

import torch
from safetensors import safe_open
from safetensors.torch import save_file

VALUES = [0.0, -0.0, 1.0, -1.5, 3.14159274, 65504.0, 6e-8, 1e-3, float("inf"), -2.0, 0.1]


def write(path):
    x = torch.tensor(VALUES, dtype=torch.float64)
    tensors = {
        "f64": x,
        "f32": x.float(),
        "bf16": x.bfloat16(),
        "f16": x.half(),
        "i64": torch.tensor([[1, -2, 3], [4, 5, 1 << 40]]),
        "i32": torch.tensor([7, -8], dtype=torch.int32),
        "u8": torch.arange(5, dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
    }
    save_file(tensors, path, metadata={"format": "pt", "note": "é"})


def read(path):
    with safe_open(path, framework="pt") as f:
        print("metadata", sorted(f.metadata().items()))
        for name in sorted(f.keys()):
            t = f.get_tensor(name)
            print(name, str(t.dtype), list(t.shape), t.flatten().tolist())


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](sys.argv[2])
