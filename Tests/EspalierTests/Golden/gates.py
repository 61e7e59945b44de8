"""Writes gates.json: ten steps of ProxylessNAS (full_v2 and two) and of FBNet in PyTorch.

The net: c1 of (linear 3-4, tanh of a linear 3-4, linear 3-4), tanh, c2 of (half, linear 4-4, zero),
tanh, head 4-3. Paths, pairs and noise are drawn here and handed over.
python3 gates.py > gates.json
"""
import json

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(3)
STEPS = 10
SHAPES = {"c1.a": (4, 3), "c1.b": (4, 3), "c1.c": (4, 3), "c2.linear": (4, 4), "head": (3, 4)}


def draw(*shape, scale=1.0):
    return torch.tensor(np.round(rng.normal(0, scale, shape), 4))


START = {}
for name, shape in SHAPES.items():
    START[f"{name}.weight"] = draw(*shape, scale=0.7)
    START[f"{name}.bias"] = draw(shape[0], scale=0.3)
ALPHA = draw(2, 3, scale=0.5)
BATCHES = [
    {"x": draw(5, 3), "y": torch.tensor(rng.integers(0, 3, 5))} for _ in range(2 * STEPS)
]


def fresh():
    w = {k: v.clone().requires_grad_() for k, v in START.items()}
    return w, ALPHA.clone().requires_grad_()


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def candidates(w, choice, x):
    if choice == 0:
        return [
            lambda: linear(w, "c1.a", x),
            lambda: torch.tanh(linear(w, "c1.b", x)),
            lambda: linear(w, "c1.c", x),
        ]
    return [lambda: 0.5 * x, lambda: linear(w, "c2.linear", x), lambda: torch.zeros_like(x)]


def loss_of(w, batch, mix):
    h = torch.tanh(mix(0, candidates(w, 0, batch["x"])))
    h = torch.tanh(mix(1, candidates(w, 1, h)))
    return F.cross_entropy(linear(w, "head", h), batch["y"])


def weight_step(w, optimizer, batch, mix):
    optimizer.zero_grad()
    loss_of(w, batch, mix).backward()
    optimizer.step()


def sgd(w):
    return torch.optim.SGD(list(w.values()), lr=0.1, momentum=0.9)


def short(t):
    return [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]


def ended(w, alpha, trace):
    return {"alpha": trace, "weights": {k: short(v) for k, v in w.items()}}


# ProxylessNAS: gates multiply; their gradient goes through the softmax by hand.
paths = [[int(v) for v in rng.integers(0, 3, 2)] for _ in range(2 * STEPS)]
w, alpha = fresh()
optimizer, adam = sgd(w), torch.optim.Adam([alpha], lr=0.05, betas=(0.0, 0.999))
trace = []
for step in range(STEPS):
    path = paths[2 * step]
    weight_step(w, optimizer, BATCHES[2 * step], lambda c, run: run[path[c]]())
    path = paths[2 * step + 1]
    outs, grads = {}, {}

    def gated(c, run):
        out = run[path[c]]()
        # Nothing flows through what is exactly zero, but its gate has a gradient.
        out = out if out.requires_grad else out.requires_grad_()
        out.retain_grad()
        outs[c] = (out, [r().detach() for r in run])
        return out

    loss_of(w, BATCHES[2 * step + 1], gated).backward()
    p = alpha.detach().softmax(1)
    gradient = torch.zeros_like(p)
    for c in range(2):
        upstream = outs[c][0].grad
        if upstream is None:
            continue
        g = torch.stack([(o * upstream).sum() for o in outs[c][1]])
        for i in range(3):
            for j in range(3):
                gradient[c, i] += g[j] * p[c, j] * (float(i == j) - p[c, i])
    alpha.grad = gradient
    adam.step()
    trace.append(short(alpha))
full = ended(w, alpha, trace)

# Two paths: only a pair of candidates, the sum of whose exponentials stays.
w, alpha = fresh()
optimizer, adam = sgd(w), torch.optim.Adam([alpha], lr=0.05, betas=(0.0, 0.999))
trace, pairs, actives = [], [], []
for step in range(STEPS):
    path = paths[2 * step]
    weight_step(w, optimizer, BATCHES[2 * step], lambda c, run: run[path[c]]())
    pair = [sorted(int(v) for v in rng.choice(3, 2, replace=False)) for _ in range(2)]
    active = [p[int(rng.integers(0, 2))] for p in pair]
    gates = torch.zeros(2, 3)
    for c in range(2):
        gates[c, active[c]] = 1
    gates.requires_grad_()
    loss_of(
        w, BATCHES[2 * step + 1], lambda c, run: sum(gates[c, k] * run[k]() for k in pair[c])
    ).backward()
    before = alpha.detach().clone()
    gradient = torch.zeros_like(before)
    for c in range(2):
        a, b = pair[c]
        pa, pb = before[c, [a, b]].softmax(0).tolist()
        ga, gb = gates.grad[c, a].item(), gates.grad[c, b].item()
        gradient[c, a] = pa * pb * (ga - gb)
        gradient[c, b] = pa * pb * (gb - ga)
    alpha.grad = gradient
    adam.step()
    with torch.no_grad():
        for c in range(2):
            shift = torch.logsumexp(alpha[c, pair[c]], 0) - torch.logsumexp(before[c, pair[c]], 0)
            alpha[c, pair[c]] -= shift
    pairs.append(pair)
    actives.append(active)
    trace.append(short(alpha))
two = ended(w, alpha, trace)

# FBNet: one Gumbel draw a pass.
w, alpha = fresh()
optimizer = sgd(w)
adam = torch.optim.AdamW([alpha], lr=0.05, weight_decay=5e-4)
noise = [-torch.log(-torch.log(torch.tensor(np.round(rng.uniform(0.01, 0.99, (2, 3)), 4)))) for _ in range(2 * STEPS)]
trace = []
for step in range(STEPS):
    temperature = 5 * np.exp(-0.045 * 90 * step / STEPS)

    def mixed(draw):
        m = F.softmax((alpha + draw) / temperature, 1)
        return lambda c, run: sum(m[c, k] * r() for k, r in enumerate(run))

    adam.zero_grad()
    loss_of(w, BATCHES[2 * step + 1], mixed(noise[2 * step])).backward()
    adam.step()
    weight_step(w, optimizer, BATCHES[2 * step], mixed(noise[2 * step + 1]))
    trace.append(short(alpha))
fbnet = ended(w, alpha, trace)

print(json.dumps({
    "start": {k: short(v) for k, v in START.items()},
    "alpha": short(ALPHA),
    "x": [short(b["x"]) for b in BATCHES],
    "y": [b["y"].tolist() for b in BATCHES],
    "paths": paths,
    "pairs": pairs,
    "actives": actives,
    "noise": [short(n) for n in noise],
    "full": full,
    "two": two,
    "fbnet": fbnet,
}))
