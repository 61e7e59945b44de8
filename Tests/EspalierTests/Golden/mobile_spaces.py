"""Writes mobile_spaces.json: published mobile networks, counted and run in PyTorch.

    python3 Tests/EspalierTests/Golden/mobile_spaces.py

Counted at 224x224x3 and 1000 classes by hooks on every convolution and linear layer, a bias as one
an output. The outputs are of small copies for 16x16x3 and 5 classes, in training mode, every
parameter sin(0.7 i + its number). Shapes of blocks follow the authors' descriptions; architectures:

- SPOS: megvii-model/SinglePathOneShot, the released network (arXiv:1904.00420).
- ProxylessNAS: han-cai/files @a7c9bcd, proxylessnas/*.config (arXiv:1812.00332).
- FBNet: facebookresearch/mobile-vision, fbnet_modeldef_cls.py (arXiv:1812.03443).

Made with PyTorch 2.13.0.
"""

import json
import pathlib

import torch
from torch import nn

SPOS = [2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3]
# Stem, stages, head; then (kernel, expansion) of each block, None for none.
WIDTHS = {
    "mobile": (32, [16, 32, 40, 80, 96, 192, 320], 1280),
    "gpu": (40, [24, 32, 56, 112, 128, 256, 432], 1728),
    "cpu": (40, [24, 32, 48, 88, 104, 216, 360], 1432),
}
PROXYLESS = {
    "mobile": [[(5, 3), (3, 3), None, None], [(7, 3), (3, 3), (5, 3), (5, 3)],
               [(7, 6), (5, 3), (5, 3), (5, 3)], [(5, 6), (5, 3), (5, 3), (5, 3)],
               [(7, 6), (7, 6), (7, 3), (7, 3)], [(7, 6)]],
    "gpu": [[(5, 3), None, None, None], [(7, 3), None, None, (3, 3)],
            [(7, 6), None, None, (5, 3)], [(5, 6), None, (3, 3), (5, 3)],
            [(7, 6), (7, 6), (7, 6), (5, 6)], [(7, 6)]],
    "cpu": [[(3, 6), (3, 3), (3, 3), (3, 3)], [(3, 6), (3, 3), (3, 3), (5, 3)],
            [(3, 6), None, None, (3, 3)], [(5, 6), (3, 3), (3, 3), (3, 3)],
            [(5, 6), (5, 3), (5, 3), (3, 3)], [(5, 6)]],
}
FBNET = {
    "fbnet-c": [["k3_e1"], ["k3_e6", "skip", "k3_e1", "k3_e1"],
                ["k5_e6", "k5_e3", "k5_e6", "k3_e6"], ["k5_e6", "k5_e3", "k5_e6", "k5_e6"],
                ["k5_e6", "k5_e6", "k5_e6", "k5_e3"], ["k5_e6", "k5_e6", "k5_e6", "k5_e6"],
                ["k3_e6"]],
}
# Every kind of block, skip with and without a change of width, for one block a stage and two.
SMALL_SPOS = [1, 3, 0, 2, 3, 0, 2, 1, 0, 3]
SMALL_PROXYLESS = [[(5, 3), None], [(7, 6), (3, 3)], [(3, 6), (5, 6)], [(7, 3), None],
                   [(5, 3), (7, 3)], [(3, 3)]]
SMALL_FBNET = [["k5_e1_g2"], ["skip", "skip"], ["k3_e1_g2", "k3_e1"], ["k5_e3", "k5_e6"],
               ["k3_e6", "k5_e1"], ["skip", "k3_e3"], ["k5_e1_g2"]]
STAGE_STRIDES = [1, 2, 2, 2, 1, 2, 1]


def conv(i, o, k, s=1, g=1):
    return nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False)


class Shuffle(nn.Module):
    def __init__(self, i, o, kind, stride):
        super().__init__()
        k = [3, 5, 7, 3][kind]
        self.projects = i != o or stride != 1
        w = i if self.projects else i // 2
        m, r = o // 2, nn.ReLU
        norm = nn.BatchNorm2d
        if kind < 3:
            self.main = nn.Sequential(
                conv(w, m, 1), norm(m), r(), conv(m, m, k, stride, m), norm(m),
                conv(m, o - w, 1), norm(o - w), r())
        else:
            self.main = nn.Sequential(
                conv(w, w, 3, stride, w), norm(w), conv(w, m, 1), norm(m), r(),
                conv(m, m, 3, 1, m), norm(m), conv(m, m, 1), norm(m), r(),
                conv(m, m, 3, 1, m), norm(m), conv(m, o - w, 1), norm(o - w), r())
        if self.projects:
            self.projection = nn.Sequential(
                conv(i, i, k, stride, i), norm(i), conv(i, i, 1), norm(i), r())

    def forward(self, x):
        if self.projects:
            return torch.cat([self.projection(x), self.main(x)], 1)
        n, c, h, w = x.shape
        x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
        return torch.cat([x[0], self.main(x[1])], 1)


def spos(channels, cells, kinds, strides, classes):
    stem_stride, strides = strides
    layers = [conv(3, channels, 3, stem_stride), nn.BatchNorm2d(channels), nn.ReLU()]
    i, index = channels, 0
    for stage, (factor, repeats) in enumerate([(4, 1), (10, 1), (20, 2), (40, 1)]):
        for number in range(cells * repeats):
            stride = strides[stage] if number == 0 else 1
            layers.append(Shuffle(i, factor * channels, kinds[index], stride))
            i, index = factor * channels, index + 1
    layers += [conv(i, 64 * channels, 1), nn.BatchNorm2d(64 * channels), nn.ReLU(),
               nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64 * channels, classes, bias=False)]
    return nn.Sequential(*layers)


class Inverted(nn.Module):
    def __init__(self, i, o, k, e, stride, eps=1e-3, act=nn.ReLU6, groups=1, always=False):
        super().__init__()
        m = i * e
        self.groups = groups
        self.expand = nn.Sequential(
            conv(i, m, 1, 1, groups), nn.BatchNorm2d(m, eps), act()) if e > 1 or always else None
        self.body = nn.Sequential(
            conv(m, m, k, stride, m), nn.BatchNorm2d(m, eps), act(), conv(m, o, 1, 1, groups),
            nn.BatchNorm2d(o, eps))
        self.adds = stride == 1 and i == o

    def forward(self, x):
        y = self.expand(x) if self.expand is not None else x
        if self.groups > 1:
            n, c, h, w = y.shape
            y = y.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = self.body(y)
        return x + y if self.adds else y


def unit(i, o, k, stride, eps, act):
    return [conv(i, o, k, stride), nn.BatchNorm2d(o, eps), act()]


def mobile(widths, blocks, strides, classes, is_fbnet):
    stem, stages, head = widths
    stem_stride, strides = strides
    eps, act = (1e-5, nn.ReLU) if is_fbnet else (1e-3, nn.ReLU6)
    layers = unit(3, stem, 3, stem_stride, eps, act)
    i = stem
    if not is_fbnet:
        layers.append(Inverted(i, stages[0], 3, 1, 1))
        i, stages, strides = stages[0], stages[1:], strides[1:]
    for o, row, first in zip(stages, blocks, strides):
        for number, block in enumerate(row):
            stride = first if number == 0 else 1
            if block is None or block == "skip":
                if i != o or stride != 1:
                    layers += unit(i, o, 1, stride, eps, act)
            elif is_fbnet:
                groups = 2 if block.endswith("_g2") else 1
                layers.append(Inverted(
                    i, o, int(block[1]), int(block[4]), stride, eps, act, groups, True))
            else:
                layers.append(Inverted(i, o, *block, stride))
            i = o
    layers += unit(i, head, 1, 1, eps, act)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(head, classes)]
    return nn.Sequential(*layers)


def cost(net):
    total = [0]

    def count(module, _, output):
        w = module.weight
        total[0] += output[0].numel() * w[0].numel()
        if module.bias is not None:
            total[0] += output[0].numel()

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 224, 224))
    return {"parameters": sum(p.numel() for p in net.parameters()), "multiplyAdds": total[0]}


def formula(shape, number):
    count = torch.Size(shape).numel()
    return torch.sin(0.7 * torch.arange(count, dtype=torch.float64) + number).reshape(shape)


def output(net):
    net = net.double().train()
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(formula(parameter.shape, number))
        y = net(formula([2, 3, 16, 16], 0.5))
    return {"parameters": sum(p.numel() for p in net.parameters()),
            "output": [float(f"{v:.9g}") for v in y.flatten().tolist()]}


def main():
    imagenet = (2, STAGE_STRIDES)
    golden = {"costs": {"spos": cost(spos(16, 4, SPOS, (2, [2, 2, 2, 2]), 1000))}, "outputs": {}}
    for name, blocks in PROXYLESS.items():
        golden["costs"][name] = cost(mobile(WIDTHS[name], blocks, imagenet, 1000, False))
    for name, blocks in FBNET.items():
        widths = (16, [16, 24, 32, 64, 112, 184, 352], 1984)
        golden["costs"][name] = cost(mobile(widths, blocks, imagenet, 1000, True))
    # 16 pixels leave two reductions, the last ones.
    strides = [1, 1, 1, 2, 1, 2, 1]
    small = (8, [8, 16, 24, 32, 40, 48, 56], 64)
    golden["outputs"] = {
        "spos": output(spos(2, 2, SMALL_SPOS, (1, [1, 1, 2, 2]), 5)),
        "proxyless": output(mobile(small, SMALL_PROXYLESS, (1, strides), 5, False)),
        "fbnet": output(mobile(small, SMALL_FBNET, (1, strides), 5, True)),
    }
    path = pathlib.Path(__file__).parent / "mobile_spaces.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")


main()
