"""Writes differentiable.json: DARTS and its kin in PyTorch, float64, ten steps each on small nets.

python3 differentiable.py > differentiable.json
"""
import json

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
STEPS, RATE, MOMENTUM, DECAY, CLIP = 10, 0.1, 0.9, 3e-3, 1.0
ALPHA = dict(lr=0.05, betas=(0.5, 0.999), weight_decay=1e-3)
rng = np.random.default_rng(11)


def numbers(*shape):
    return torch.tensor(np.round(rng.uniform(-0.8, 0.8, shape), 3))


def short(tensor):
    return [float(f"{v:.9g}") for v in tensor.detach().flatten().tolist()]


def softmax(alpha):
    return alpha.softmax(1)


# The first net: a layer choice, two edges of three candidates that an input choice joins, and an
# input choice of any number.
LINEAR = {"first.linear": (4, 3), "first.tanh.0": (4, 3), "e0.linear": (4, 4), "e1.linear": (4, 4),
          "head": (3, 4)}
START = {}
for name, shape in LINEAR.items():
    START[name + ".weight"], START[name + ".bias"] = numbers(*shape), numbers(shape[0])
ALPHAS = {"choice2": numbers(1, 2), "choice3": numbers(2, 3), "gate2": numbers(1, 2)}
ZERO = {"zero2": numbers(1, 3), "zero3": numbers(2, 4), "gate2": ALPHAS["gate2"]}
IMAGES = [numbers(6, 3) for _ in range(4)]
LABELS = [torch.tensor(rng.integers(0, 3, 6)) for _ in range(4)]


def layer(p, name, x):
    return x @ p[name + ".weight"].T + p[name + ".bias"]


def mixture(weights, candidates):
    return sum(w * f() for w, f in zip(weights, candidates) if f is not None)


def network(p, weights, mix=mixture):
    """The loss as a function of a batch; weights by key."""

    def loss(batch):
        x = IMAGES[batch]
        a = mix(weights["first"],
                [lambda: layer(p, "first.linear", x), lambda: layer(p, "first.tanh.0", x).tanh()])
        sources = [a, a.tanh()]
        node = sum(
            mix(weights[f"e{k}"], [None, lambda s=s: s, lambda s=s: layer(p, f"e{k}.linear", s)])
            for k, s in enumerate(sources))
        gates = weights["gates"]
        return F.cross_entropy(layer(p, "head", (gates[0] * a + gates[1] * node).tanh()),
                               LABELS[batch])

    return loss


def by_key(tables):
    """Rows of the tables: those of two candidates, of three, and the gates."""
    two, three, gates = tables
    return {"first": two[0], "e0": three[0], "e1": three[1], "gates": gates[0]}


class Search:
    def __init__(self, alphas=ALPHAS, start=START, rate=RATE):
        self.p = {k: v.clone().requires_grad_(True) for k, v in start.items()}
        self.alpha = [v.clone().requires_grad_(True) for v in alphas.values()]
        self.sgd = torch.optim.SGD(self.p.values(), lr=rate, momentum=MOMENTUM, weight_decay=DECAY)
        self.adam = torch.optim.Adam(self.alpha, **ALPHA)
        self.names = list(alphas)
        self.losses = []

    def train_alpha(self, gradients):
        for a, g in zip(self.alpha, gradients):
            a.grad = g.detach()
        self.adam.step()

    def train_weights(self, loss):
        gradients = torch.autograd.grad(loss, list(self.p.values()), allow_unused=True)
        for v, g in zip(self.p.values(), gradients):
            v.grad = g
        torch.nn.utils.clip_grad_norm_(self.p.values(), CLIP)
        self.sgd.step()
        self.losses.append(loss.item())

    def result(self):
        return {
            "losses": [float(f"{v:.9g}") for v in self.losses],
            "alpha": {n: short(a) for n, a in zip(self.names, self.alpha)},
            "weights": {k: short(v) for k, v in self.p.items()},
        }


def batches(step):
    """A training and a validation batch."""
    return step % 2, 2 + step % 2


def first_order(alphas, relax, penalty=lambda tables: 0):
    s = Search(alphas)
    for step in range(STEPS):
        training, validation = batches(step)
        relaxed = lambda: by_key(relax(s.alpha, step / STEPS))
        loss = network(s.p, relaxed())(validation) + penalty(s.alpha)
        s.train_alpha(torch.autograd.grad(loss, s.alpha))
        s.train_weights(network(s.p, relaxed())(training))
    return s.result()


def plain(tables, progress):
    return [softmax(tables[0]), softmax(tables[1]), tables[2].sigmoid()]


def auxiliary(tables, progress):
    skip = torch.tensor([0.0, 1.0, 0.0])
    return [softmax(tables[0]), softmax(tables[1]) + skip * (1 - progress), tables[2].sigmoid()]


def fair(tables, progress):
    return [t.sigmoid() for t in tables]


def zero_one(tables):
    openings = torch.cat([t.sigmoid().flatten() for t in tables[:2]])
    return -10 * F.mse_loss(openings, torch.full_like(openings, 0.5))


# Second order: the unrolled gradient by finite differences as the paper has it, and exactly.
def virtual(s, gradients):
    moved = {}
    for (k, v), g in zip(s.p.items(), gradients):
        m = s.sgd.state[v].get("momentum_buffer")
        m = torch.zeros_like(v) if m is None else m
        moved[k] = v - s.sgd.param_groups[0]["lr"] * (MOMENTUM * m + g + DECAY * v)
    return moved


def unrolled(s, training, validation):
    weights = lambda: by_key(plain(s.alpha, 0))
    p = list(s.p.values())
    g = torch.autograd.grad(network(s.p, weights())(training), p)
    moved = {k: v.detach().requires_grad_(True) for k, v in virtual(s, g).items()}
    outer = torch.autograd.grad(
        network(moved, weights())(validation), list(moved.values()) + s.alpha)
    d, direct = outer[:len(p)], outer[len(p):]
    eps = 0.01 / torch.cat([x.flatten() for x in d]).norm()
    sides = []
    for sign in (1, -1):
        side = {k: v.detach() + sign * eps * x for (k, v), x in zip(s.p.items(), d)}
        sides.append(torch.autograd.grad(network(side, weights())(training), s.alpha))
    rate = s.sgd.param_groups[0]["lr"]
    return [a - rate * (u - l) / (2 * eps) for a, u, l in zip(direct, *sides)]


def second_order():
    s = Search()
    for step in range(STEPS):
        training, validation = batches(step)
        s.train_alpha(unrolled(s, training, validation))
        s.train_weights(network(s.p, by_key(plain(s.alpha, 0)))(training))
    return s.result()


def exact():
    """The central difference of L_val(w'(α), α), and the gradient of L_val(w, α), once the weights
    have momentum."""
    s = Search(rate=0.5)
    for step in range(3):
        s.train_weights(network(s.p, by_key(plain(s.alpha, 0)))(step % 2))

    def objective():
        weights = by_key(plain(s.alpha, 0))
        g = torch.autograd.grad(network(s.p, weights)(0), list(s.p.values()))
        return network(virtual(s, g), weights)(2).item()

    whole = [torch.zeros_like(a) for a in s.alpha]
    for a, difference in zip(s.alpha, whole):
        for index in range(a.numel()):
            for sign in (1, -1):
                with torch.no_grad():
                    a.view(-1)[index] += sign * 1e-5
                difference.view(-1)[index] += sign * objective() / 2e-5
                with torch.no_grad():
                    a.view(-1)[index] -= sign * 1e-5
    first = torch.autograd.grad(network(s.p, by_key(plain(s.alpha, 0)))(2), s.alpha)
    names = list(ALPHAS)
    return {"unrolled": dict(zip(names, map(short, whole))),
            "first_order": dict(zip(names, map(short, first)))}


def eigenvalue():
    """The largest eigenvalue in size of the Hessian of the validation loss by α."""
    sizes = [v.shape for v in ALPHAS.values()]

    def loss(flat):
        parts = flat.split([a.numel() for a in ALPHAS.values()])
        tables = [x.reshape(size) for x, size in zip(parts, sizes)]
        return network(START, by_key(plain(tables, 0)))(2)

    flat = torch.cat([v.flatten() for v in ALPHAS.values()])
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat)).abs().max().item()


# GDAS: noise by Philox 4x32-10 as the library draws it.
def philox(count, draw, step, seed=7):
    bits = []
    mask = 0xFFFFFFFF
    for block in range((count + 3) // 4):
        a, b, c, d = block, 0, draw, step
        k0, k1 = seed & mask, seed >> 32
        for _ in range(10):
            p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
            a, b, c, d = (q >> 32) ^ b ^ k0, q & mask, (p >> 32) ^ d ^ k1, p & mask
            k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
        bits += [a, b, c, d]
    return bits[:count]


class Noise:
    def __init__(self, step):
        self.step, self.draw = step, 0

    def __call__(self, shape):
        count = int(np.prod(shape))
        u = np.array([max(b >> 8, 1) for b in philox(count, self.draw, self.step)]) / 2**24
        self.draw += 1
        return torch.tensor(-np.log(-np.log(u)).reshape(shape))


def gdas():
    s = Search()

    def sample(noise, tau):
        result = []
        for number, a in enumerate(s.alpha):
            if number == 2:
                p = ((a + noise(a.shape) - noise(a.shape)) / tau).sigmoid()
                hard = (p > 0.5).double()
            else:
                p = ((a.log_softmax(1) + noise(a.shape)) / tau).softmax(1)
                hard = F.one_hot(p.argmax(1), p.shape[1]).double()
            result.append(hard - p.detach() + p)
        return by_key(result)

    def sampled(weights, candidates):
        k = int(weights.argmax())
        run = candidates[k]
        own = 0 if run is None else weights[k] * run()
        # The others are numbers: they reach every element of the result.
        return own + sum(w for j, w in enumerate(weights) if j != k) + torch.zeros(6, 4)

    taken = []
    for step in range(STEPS):
        training, validation = batches(step)
        noise, tau = Noise(step), 10 + (0.1 - 10) * step / STEPS
        weights = sample(noise, tau)
        taken.append([int(weights[k].argmax()) for k in ("first", "e0", "e1")])
        loss = network(s.p, weights, sampled)(validation)
        s.train_alpha(torch.autograd.grad(loss, s.alpha))
        s.train_weights(network(s.p, sample(noise, tau), sampled)(training))
    return s.result() | {"taken": taken}


# PC-DARTS: two edges to a node, normalised, and one that halves the image.
K, CHANNELS = 4, 8
PC_START = {"stem.weight": numbers(CHANNELS, 1, 1, 1), "stem.bias": numbers(CHANNELS)}
for name in ("e0", "e1", "down"):
    PC_START[f"{name}.conv.weight"] = numbers(CHANNELS // K, CHANNELS // K, 3, 3)
PC_START |= {"head.weight": numbers(3, CHANNELS), "head.bias": numbers(3)}
PC_ALPHAS = {"choice3": numbers(3, 3), "edge2": numbers(1, 2)}
PC_IMAGES = [numbers(4, 1, 4, 4) for _ in range(4)]
PC_LABELS = [torch.tensor(rng.integers(0, 3, 4)) for _ in range(4)]


def partial(x, weights, candidates):
    part, rest = x[:, :CHANNELS // K], x[:, CHANNELS // K:]
    out = mixture(weights, [f and (lambda f=f: f(part)) for f in candidates])
    if out.shape[2] != rest.shape[2]:
        rest = F.max_pool2d(rest, 2, 2)
    both = torch.cat([out, rest], 1)
    n, c, h, w = both.shape
    return both.view(n, K, c // K, h, w).transpose(1, 2).reshape(n, c, h, w)


def pc_darts():
    s = Search(PC_ALPHAS, PC_START)

    def loss(batch):
        p, (alpha, beta) = s.p, (softmax(s.alpha[0]), softmax(s.alpha[1])[0])
        x = F.conv2d(PC_IMAGES[batch], p["stem.weight"], p["stem.bias"])
        conv = lambda name, stride: lambda y: F.conv2d(
            y, p[name + ".conv.weight"], stride=stride, padding=1)
        pool = lambda y: F.max_pool2d(y, 3, 2, 1)
        node = sum(
            beta[k] * partial(y, alpha[k], [None, lambda y: y, conv(f"e{k}", 1)])
            for k, y in enumerate([x, x.relu()]))
        down = partial(node, alpha[2], [None, pool, conv("down", 2)])
        return F.cross_entropy(
            down.relu().mean((2, 3)) @ p["head.weight"].T + p["head.bias"], PC_LABELS[batch])

    for step in range(STEPS):
        training, validation = batches(step)
        # α and β wait for three tenths of the search.
        if step >= 3:
            s.train_alpha(torch.autograd.grad(loss(validation), s.alpha))
        s.train_weights(loss(training))
    return s.result()


print(json.dumps({
    "weights": {k: short(v) for k, v in START.items()},
    "alpha": {k: short(v) for k, v in ALPHAS.items()},
    "zero_alpha": {k: short(v) for k, v in ZERO.items()},
    "images": [short(x) for x in IMAGES],
    "labels": [x.tolist() for x in LABELS],
    "partial_weights": {k: short(v) for k, v in PC_START.items()},
    "partial_alpha": {k: short(v) for k, v in PC_ALPHAS.items()},
    "partial_images": [short(x) for x in PC_IMAGES],
    "partial_labels": [x.tolist() for x in PC_LABELS],
    "searches": {
        "darts": first_order(ALPHAS, plain),
        "implicit_zero": first_order(ZERO, plain),
        "auxiliary_skip": first_order(ALPHAS, auxiliary),
        "zero_one": first_order(ALPHAS, fair, zero_one),
        "darts-second-order": second_order(),
        "gdas": gdas(),
        "pc-darts": pc_darts(),
    },
    "exact": exact(),
    "eigenvalue": eigenvalue(),
}))
