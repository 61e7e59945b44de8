"""Writes path_dropout.json: six weight steps of path dropout in PyTorch.

    python3 Tests/EspalierTests/Golden/path_dropout.py

The net: conv 3x3 of 1-2, batch norm, relu; an edge that adds up conv 3x3 with batch norm, conv 1x1,
the identity and zero; a node that adds up the relu, the edge and the relu of the edge; mean over the
pixels, linear 2-3. Batch norm runs over ghost batches of 3 of 6 images. SGD with momentum and decay:
what was dropped has no gradient, and keeps its bits. What is kept in each step is drawn here and
handed over. Made with PyTorch 2.13.0.
"""

import json
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

STEPS, IMAGES, GHOST = 6, 6, 3


def short(tensor):
    return [float(f"{v:.9g}") for v in tensor.detach().flatten().tolist()]


class Ghost(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.cat([self.norm(part) for part in torch.chunk(x, x.shape[0] // GHOST)])


def main():
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(9)
    stem, norm = nn.Conv2d(1, 2, 3, padding=1), Ghost(2)
    conv, inner, point = nn.Conv2d(2, 2, 3, padding=1), Ghost(2), nn.Conv2d(2, 2, 1)
    head = nn.Linear(2, 3)
    parts = {
        "stem": stem, "norm": norm.norm, "edge.conv.0": conv, "edge.conv.1": inner.norm,
        "edge.point": point, "head": head,
    }
    tensors = {}
    for name, part in parts.items():
        for own, value in part.state_dict(keep_vars=True).items():
            if own == "num_batches_tracked":
                continue
            with torch.no_grad():
                value.copy_(value.to(torch.float32))
            tensors[f"{name}.{own}"] = value
    parameters = [p for part in parts.values() for p in part.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)
    start = {name: short(value) for name, value in tensors.items()}
    candidates = [lambda x: inner(conv(x)), point, lambda x: x]
    images = torch.rand(STEPS, IMAGES, 1, 4, 4).to(torch.float32).double()
    kept, losses = [], []
    for step in range(STEPS):
        edge = [i for i in range(3) if rng.random() < 0.6] or [int(rng.integers(3))]
        node = [i for i in range(3) if rng.random() < 0.6] or [int(rng.integers(3))]
        kept.append({"edge": edge, "node": node})
        optimizer.zero_grad(set_to_none=True)
        x = F.relu(norm(stem(images[step])))
        y = sum(candidates[i](x) for i in edge) if {1, 2} & set(node) else None
        inputs = [x, y, F.relu(y) if y is not None else None]
        z = sum(inputs[i] for i in node)
        loss = F.cross_entropy(head(z.mean(dim=(2, 3))), torch.arange(IMAGES) % 3)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    golden = {
        "start": start, "images": short(images), "kept": kept, "losses": losses,
        "end": {name: short(value) for name, value in tensors.items()},
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(kept)


main()
