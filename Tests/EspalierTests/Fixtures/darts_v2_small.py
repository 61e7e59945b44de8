"""Writes what PyTorch's DARTS_V2 network of 4 channels and 3 cells gives, to darts_v2_small.json.

    python3 Tests/EspalierTests/Fixtures/darts_v2_small.py

The network is that of github.com/quark0/darts, cnn/model.py, with batch norm behind pools as in its
search network. Weights are a formula of their numbers, so that none is stored. It also prints
parameters and multiply-adds of the network of 36 channels and 20 cells. Made with PyTorch 2.13.0.
"""

import json
import math
import pathlib

import torch
from torch import nn


def factorized_half(i, o):
    return nn.Conv2d(i, o // 2, 1, 2, bias=False)


class FactorizedReduce(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv1, self.conv2 = factorized_half(i, o), factorized_half(i, o)
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        x = torch.relu(x)
        return self.bn(torch.cat([self.conv1(x), self.conv2(x[:, :, 1:, 1:])], 1))


def preprocess(i, o):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o))


def operation(name, c, stride):
    def half(k, stride, dilation):
        return [nn.ReLU(), nn.Conv2d(c, c, k, stride, k // 2 * dilation, dilation, c, bias=False),
                nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)]
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), nn.BatchNorm2d(c, affine=False))
    k = int(name[-1])
    if name.startswith("sep"):
        return nn.Sequential(*half(k, stride, 1), *half(k, 1, 1))
    return nn.Sequential(*half(k, stride, 2))


NORMAL = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
          ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)]
REDUCE = [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
          ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)]


class Cell(nn.Module):
    def __init__(self, before_last, last, c, reduces, last_reduces):
        super().__init__()
        self.preprocess0 = (FactorizedReduce if last_reduces else preprocess)(before_last, c)
        self.preprocess1 = preprocess(last, c)
        self.edges = REDUCE if reduces else NORMAL
        self.ops = nn.ModuleList(
            operation(name, c, 2 if reduces and i < 2 else 1) for name, i in self.edges)

    def forward(self, a, b):
        states = [self.preprocess0(a), self.preprocess1(b)]
        for k in range(4):
            states.append(sum(self.ops[j](states[self.edges[j][1]]) for j in (2 * k, 2 * k + 1)))
        return torch.cat(states[2:], 1)


class Network(nn.Module):
    def __init__(self, c, cells, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * c, 3, padding=1, bias=False),
                                  nn.BatchNorm2d(3 * c))
        before_last = last = 3 * c
        last_reduces = False
        self.cells = nn.ModuleList()
        for i in range(cells):
            reduces = i in (cells // 3, 2 * cells // 3)
            c *= 2 if reduces else 1
            self.cells.append(Cell(before_last, last, c, reduces, last_reduces))
            last_reduces = reduces
            before_last, last = last, 4 * c
        self.classifier = nn.Linear(last, classes)

    def forward(self, x):
        a = b = self.stem(x)
        for cell in self.cells:
            a, b = b, cell(a, b)
        return self.classifier(b.mean((2, 3)))


def formula(shape, number):
    count = math.prod(shape)
    return torch.tensor([math.sin(0.7 * i + number) for i in range(count)],
                        dtype=torch.float64).float().double().reshape(shape)


net = Network(4, 3).double().train()
with torch.no_grad():
    for number, parameter in enumerate(net.parameters()):
        parameter.copy_(formula(parameter.shape, number))
    output = net(formula([2, 3, 16, 16], 0.5))
(pathlib.Path(__file__).parent / "darts_v2_small.json").write_text(
    json.dumps({"parameters": sum(p.numel() for p in net.parameters()),
                "output": [float(f"{v:.13g}") for v in output.flatten().tolist()]}) + "\n")

total = 0


def count(module, _, output):
    global total
    total += output.numel() * module.weight[0].numel() + (
        output.numel() if module.bias is not None else 0)


large = Network(36, 20).eval()
for module in large.modules():
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        module.register_forward_hook(count)
with torch.no_grad():
    large(torch.zeros(1, 3, 32, 32))
print(sum(p.numel() for p in large.parameters()), "parameters", total, "multiply-adds")
