"""Writes recalibration.json: a network evaluated after its batch-norm statistics were recomputed.

    python3 Tests/EspalierTests/Golden/recalibration.py

PyTorch's cumulative average (momentum=None) over the batches in training mode, then evaluation mode.
Made with PyTorch 2.13.0.
"""

import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F


def numbers(tensor):
    return [float(f"{v:.9g}") for v in tensor.detach().flatten().tolist()]


def main():
    torch.manual_seed(3)
    images = torch.rand(16, 1, 5, 5)
    first, norm = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2, momentum=None)
    second, last = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, momentum=None)
    norms = nn.ModuleList([norm, last])
    weights = {
        "first.weight": first.weight, "first.bias": first.bias,
        "norm.weight": norm.weight, "norm.bias": norm.bias,
        "choice.b.0.weight": second.weight, "choice.b.0.bias": second.bias,
        "choice.b.1.weight": last.weight, "choice.b.1.bias": last.bias,
    }
    with torch.no_grad():
        for norm_ in norms:
            norm_.weight.uniform_(0.5, 1.5)
            norm_.bias.uniform_(-0.5, 0.5)

    def forward(x):
        return last(second(F.relu(norm(first(x))))).mean(dim=(2, 3))

    with torch.no_grad():
        for start in (0, 4, 8):
            forward(images[start : start + 4])
        norms.eval()
        scores = forward(images[12:])
    statistics = {
        "norm.running_mean": norm.running_mean, "norm.running_var": norm.running_var,
        "choice.b.1.running_mean": last.running_mean, "choice.b.1.running_var": last.running_var,
    }
    labels = [index % 3 for index in range(16)]
    golden = {
        "images": numbers(images),
        "weights": {name: numbers(value) for name, value in weights.items()},
        "statistics": {name: numbers(value) for name, value in statistics.items()},
        "loss": F.cross_entropy(scores, torch.tensor(labels[12:])).item(),
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


main()
