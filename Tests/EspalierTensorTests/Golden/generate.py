"""Writes PyTorch's float64 results of the operation cases beside this file, one JSON file a stem.

    ESPALIER_WRITE_CASES=/tmp/cases.json swift test --filter GoldenTests/question
    python3 Tests/EspalierTensorTests/Golden/generate.py /tmp/cases.json

The cases (Tests/OperationCases) hold shapes, contents and the PyTorch expression; the inputs come
from their own generator, so that none is stored here. Made with PyTorch 2.13.0 and NumPy.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F


def f32(x):
    """The float32 number nearest to x: floats of the library's API are single precision."""
    return float(np.float32(x))


def array(tensor):
    values = tensor.detach().to(torch.float64).flatten().tolist()
    # 13 digits: a thousand times finer than what the tests ask for.
    return {"shape": list(tensor.shape), "values": [float(f"{v:.13g}") for v in values]}


def answer(case):
    x = []
    for index, (kind, shape, values) in enumerate(
        zip(case["types"], case["shapes"], case["values"])
    ):
        tensor = torch.tensor(values, dtype=torch.float64).reshape(shape)
        tensor = tensor.to(getattr(torch, kind))
        if index in case["differentiable"]:
            tensor.requires_grad_(True)
        x.append(tensor)
    result = eval(case["torch"], {"torch": torch, "F": F, "f32": f32, "x": x})
    outputs = list(result) if isinstance(result, tuple) else [result]
    golden = {"inputs": case["hash"], "outputs": [array(y) for y in outputs]}
    if case["differentiable"]:
        loss = sum(
            (y * torch.tensor(u, dtype=torch.float64).reshape(y.shape)).sum()
            for y, u in zip(outputs, case["upstream"])
        )
        loss.backward()
        golden["gradients"] = [array(x[i].grad) for i in case["differentiable"]]
    return golden


def main():
    files = {}
    for case in json.load(open(sys.argv[1])):
        stem = case["name"].split("/")[0]
        try:
            files.setdefault(stem, {})[case["name"]] = answer(case)
        except Exception as error:
            raise SystemExit(f"{case['name']}: {case['torch']}: {error}")
    folder = pathlib.Path(__file__).parent
    for old in folder.glob("*.json"):
        old.unlink()
    for stem, goldens in sorted(files.items()):
        lines = [f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v, separators=(',', ':'))}"
                 for k, v in sorted(goldens.items())]
        (folder / f"{stem}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
