"""Writes enas.json: an ENAS controller in PyTorch over four choices, trained on fixed actions.

The choices, in order: L0 of 3 layers, L1 of 2 layers, I0 any number of (L0, unnamed),
I1 two of (L0, L1, unnamed). python3 enas.py > enas.json
"""
import json

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
S, TANH, TEMPERATURE, TARGET = 4, 1.5, 1.25, 0.4
SKIP_WEIGHT, RATE, CLIP = 0.8, 0.01, 0.5
rng = np.random.default_rng(7)
shapes = [
    ("cell", (2 * S, 4 * S)), ("start", (1, S)), ("anchor", (S, S)), ("query", (S, S)),
    ("attention", (S, 1)), ("head0", (3, S)), ("embedding0", (3, S)), ("head1", (2, S)),
    ("embedding1", (2, S)),
]
p = {
    name: torch.tensor(np.round(rng.uniform(-1.5, 1.5, shape), 3), requires_grad=True)
    for name, shape in shapes
}


def squash(x):
    return TANH * torch.tanh(x / TEMPERATURE)


class Walk:
    def __init__(self, rows):
        self.n = rows
        self.x = p["start"].expand(rows, S)
        self.h = torch.zeros(rows, S)
        self.c = torch.zeros(rows, S)
        self.nll = torch.zeros(rows)
        self.entropy = torch.zeros(rows)
        self.penalty = torch.zeros(rows)

    def lstm(self):
        i, f, o, g = (torch.cat([self.x, self.h], 1) @ p["cell"]).chunk(4, 1)
        self.c = f.sigmoid() * self.c + i.sigmoid() * g.tanh()
        self.h = o.sigmoid() * self.c.tanh()
        return self.h

    def softmax(self, logits, index):
        dist = torch.distributions.Categorical(logits=logits)
        self.nll = self.nll - dist.log_prob(index)
        self.entropy = self.entropy + dist.entropy()

    def layer(self, number, index):
        self.softmax(squash(self.lstm() @ p[f"head{number}"].T), index)
        self.x = p[f"embedding{number}"][index]
        return self.h

    def scores(self, sources):
        q = self.lstm() @ p["query"]
        return squash(torch.cat([(a @ p["anchor"] + q).tanh() @ p["attention"] for a in sources], 1))

    def follow(self, sources, mask):
        total = sum(a * mask[:, k : k + 1] for k, a in enumerate(sources))
        self.x = total / (1 + mask.sum(1, keepdim=True))

    def any(self, sources, mask):
        q = self.scores(sources)
        heads = torch.distributions.Bernoulli(probs=torch.sigmoid(2 * q))
        self.nll = self.nll - heads.log_prob(mask).sum(1)
        self.entropy = self.entropy + heads.entropy().sum(1)
        target = torch.distributions.Bernoulli(probs=torch.full_like(q, TARGET))
        self.penalty = self.penalty + torch.distributions.kl_divergence(heads, target).sum(1)
        self.follow(sources, mask)

    def some(self, sources, draws):
        q = self.scores(sources)
        mask = torch.zeros_like(q)
        for index in draws:
            self.softmax(q.masked_fill(mask > 0, -1e30), index)
            mask = mask + F.one_hot(index, q.shape[1])
        self.follow(sources, mask)


# Four architectures: indices of L0 and L1, the coins of I0, the two draws of I1.
l0 = torch.tensor([0, 2, 1, 1])
l1 = torch.tensor([1, 0, 0, 1])
coins = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
draws = [torch.tensor([0, 2, 1, 0]), torch.tensor([2, 1, 0, 1])]
advantages = torch.tensor([0.5, -0.25, 1.0, -0.75])


def run():
    w = Walk(4)
    a0 = w.layer(0, l0)
    a1 = w.layer(1, l1)
    w.any([a0, w.lstm()], coins)
    w.some([a0, a1, w.lstm()], draws)
    return w


actions = torch.cat([F.one_hot(l0, 3), F.one_hot(l1, 2), coins] + [F.one_hot(d, 3) for d in draws], 1)
start = {k: v.detach().flatten().tolist() for k, v in p.items()}
first = run()
optimizer = torch.optim.Adam(p.values(), lr=RATE)
losses = []
for _ in range(10):
    w = run()
    loss = (w.nll * advantages).mean() + SKIP_WEIGHT * w.penalty.mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(p.values(), CLIP)
    optimizer.step()
    losses.append(loss.item())


def short(values):
    return [float(f"{v:.9g}") for v in values]


print(json.dumps({
    "start": {k: short(v) for k, v in start.items()},
    "actions": short(actions.double().flatten().tolist()),
    "advantages": advantages.tolist(),
    "negative_log_likelihood": short(first.nll.tolist()),
    "entropy": short(first.entropy.tolist()),
    "skip_penalty": short(first.penalty.tolist()),
    "losses": short(losses),
    "end": {k: short(v.detach().flatten().tolist()) for k, v in p.items()},
}))
