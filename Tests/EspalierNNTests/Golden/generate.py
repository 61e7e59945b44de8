"""Writes PyTorch's float64 results of layers and optimizers beside this file.

    python3 Tests/EspalierNNTests/Golden/generate.py

Weights, inputs and gradients are float32 numbers and stand in the files. Made with PyTorch 2.13.0.
"""

import json
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(7)


def numbers(tensor):
    return [float(f"{v:.13g}") for v in tensor.detach().to(torch.float64).flatten().tolist()]


def array(tensor):
    return {"shape": list(tensor.shape), "values": numbers(tensor)}


def normal(*shape):
    """Normal numbers that float32 holds exactly."""
    return torch.randn(*shape).to(torch.float64)


def write(name, content):
    text = json.dumps(content, indent=None, separators=(",", ":"))
    (HERE / name).write_text(text.replace('},{', '},\n{') + "\n")


# Layers: state before, inputs and outputs of two training passes, state after, evaluation.

LAYERS = {
    "linear": (nn.Linear(5, 3), [4, 5]),
    "linear without bias": (nn.Linear(5, 3, bias=False), [4, 5]),
    "conv2d": (nn.Conv2d(3, 4, 3, padding=1), [2, 3, 6, 5]),
    "conv2d strided": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)), [2, 3, 6, 5]),
    "conv2d dilated groups": (
        nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2, bias=False), [2, 4, 6, 5]),
    "conv2d depthwise": (nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), [2, 4, 6, 5]),
    "batch_norm": (nn.BatchNorm2d(3), [4, 3, 3, 2]),
    "batch_norm momentum": (nn.BatchNorm2d(3, momentum=0.3, eps=1e-3), [4, 3, 3, 2]),
    "batch_norm not affine": (nn.BatchNorm2d(3, affine=False), [4, 3, 3, 2]),
    "batch_norm without statistics": (nn.BatchNorm2d(3, track_running_stats=False), [4, 3, 3, 2]),
    "max_pool2d": (nn.MaxPool2d(3, stride=2, padding=1), [2, 3, 6, 5]),
    "max_pool2d default stride": (nn.MaxPool2d(2), [2, 3, 6, 5]),
    "avg_pool2d": (nn.AvgPool2d(3, stride=2, padding=1), [2, 3, 6, 5]),
    "avg_pool2d without pad": (
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), [2, 3, 6, 5]),
    "global_avg_pool2d": (nn.AdaptiveAvgPool2d(1), [2, 3, 6, 5]),
    "relu": (nn.ReLU(), [12]),
    "relu6": (nn.ReLU6(), [12]),
    "leaky_relu": (nn.LeakyReLU(), [12]),
    "leaky_relu 0.2": (nn.LeakyReLU(0.2), [12]),
    "sigmoid": (nn.Sigmoid(), [12]),
    "tanh": (nn.Tanh(), [12]),
    "hard_swish": (nn.Hardswish(), [12]),
    "gelu": (nn.GELU(), [12]),
    "silu": (nn.SiLU(), [12]),
    "flatten": (nn.Flatten(), [2, 3, 2, 2]),
    "identity": (nn.Identity(), [2, 3]),
    "sequential": (
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                      nn.Linear(12, 2)),
        [3, 2, 4, 4]),
}


def state(module):
    return {k: array(v) for k, v in module.state_dict().items() if "num_batches" not in k}


def layer(name, module, shape):
    module = module.to(torch.float64)
    scale = 4 if shape == [12] else 1
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if "num_batches" not in key:
                random = normal(*value.shape)
                value.copy_(random.abs() + 0.5 if "var" in key else random)
    result = {"name": name, "before": state(module)}
    inputs = [normal(*shape) * scale for _ in range(2)]
    module.train()
    result["training"] = [{"input": array(x), "output": array(module(x))} for x in inputs]
    result["after"] = state(module)
    module.eval()
    result["evaluation"] = array(module(inputs[0]))
    return result


write("layers.json", [layer(name, *rest) for name, rest in LAYERS.items()])

# Optimizers: 24 steps in which about half of the parameters have no gradient.

SHAPES = [[3], [2, 2], [5], [4, 3], [1], [17]]
STEPS = 24
CASES = [
    ("sgd", dict(lr=0.1), None),
    ("sgd momentum", dict(lr=0.1, momentum=0.9), None),
    ("sgd dampening", dict(lr=0.1, momentum=0.9, dampening=0.25), None),
    ("sgd nesterov", dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01), None),
    ("sgd decay", dict(lr=0.1, weight_decay=0.1), None),
    ("sgd clip", dict(lr=0.1, momentum=0.5, weight_decay=0.01), 1.5),
    ("adam", dict(lr=0.01), None),
    ("adam decay", dict(lr=0.01, betas=(0.5, 0.999), weight_decay=0.1), None),
    ("adam clip", dict(lr=0.01, eps=1e-3), 1.5),
    ("adamw", dict(lr=0.01, weight_decay=0.1), None),
    ("rmsprop", dict(lr=0.01), None),
    ("rmsprop centered", dict(lr=0.01, alpha=0.9, centered=True), None),
    ("rmsprop momentum", dict(lr=0.01, momentum=0.9, weight_decay=0.01), None),
    ("rmsprop both", dict(lr=0.01, momentum=0.5, centered=True, eps=1e-4), 2.0),
    ("sgd groups", dict(lr=0.1, momentum=0.9), None),
    ("adamw groups", dict(lr=0.01), None),
]
MAKERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
          "rmsprop": torch.optim.RMSprop}
initial = [normal(*shape) for shape in SHAPES]
coins = torch.rand(STEPS, len(SHAPES)) < 0.5
coins[0, 0], coins[0, 1] = True, False
gradients = [[normal(*shape) if coin else None for shape, coin in zip(SHAPES, row)]
             for row in coins.tolist()]


def optimizer(name, settings, clip):
    parameters = [nn.Parameter(value.clone()) for value in initial]
    given = parameters
    if "groups" in name:
        # The first two have a rate of their own, the next two a decay, the rest neither.
        given = [dict(params=parameters[:2], lr=0.03), dict(params=parameters[2:4], weight_decay=0.2),
                 dict(params=parameters[4:])]
    # PyTorch's AdamW decays by 0.01 unless told otherwise.
    settings.setdefault("weight_decay", 0)
    algorithm = MAKERS[name.split()[0]](given, **settings)
    kept = []
    for row in gradients:
        for parameter, gradient in zip(parameters, row):
            parameter.grad = None if gradient is None else gradient.clone()
        if clip:
            nn.utils.clip_grad_norm_(parameters, clip)
        algorithm.step()
        kept.append([numbers(p) for p in parameters])
    states = {}
    for key in ("momentum_buffer", "exp_avg", "exp_avg_sq", "square_avg", "grad_avg"):
        found = [algorithm.state[p].get(key) for p in parameters]
        if all(value is not None for value in found):
            states[key] = [numbers(value) for value in found]
    return {"name": name, "settings": settings, "clip": clip, "after": [kept[0], kept[11], kept[-1]],
            "states": states}


write("optimizers.json", {
    "parameters": [array(value) for value in initial],
    "gradients": [[None if g is None else numbers(g) for g in row] for row in gradients],
    "cases": [optimizer(*case) for case in CASES],
})

# Schedules: rates at the beginning of each of 12 steps.


def rates(make):
    parameter = nn.Parameter(torch.zeros(1))
    algorithm = torch.optim.SGD([parameter], lr=0.1)
    schedule = make(algorithm)
    found = []
    for _ in range(12):
        found.append(algorithm.param_groups[0]["lr"])
        algorithm.step()
        schedule.step()
    return found


S = torch.optim.lr_scheduler
write("schedules.json", {
    "cosine": rates(lambda o: S.CosineAnnealingLR(o, 12, eta_min=0.01)),
    "step": rates(lambda o: S.MultiStepLR(o, [3, 9], gamma=0.5)),
    "linear": rates(lambda o: S.LinearLR(o, 1, 0.1, total_iters=12)),
    # Three cosines of 1, 2 and 4 thirds of the unit: 12 = (1 + 2) * 4 steps.
    "restarts": rates(lambda o: S.CosineAnnealingWarmRestarts(o, 4, T_mult=2, eta_min=0.01)),
    "warmup": rates(lambda o: S.SequentialLR(
        o, [S.LinearLR(o, 1e-8, 1, total_iters=3), S.CosineAnnealingLR(o, 9, eta_min=0.01)], [3])),
})
