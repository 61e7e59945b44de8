"""Writes rank_correlation.json: Spearman's and Kendall's correlations by SciPy, ties among them.

    python3 Tests/EspalierTests/Golden/rank_correlation.py

The partial one is Pearson's correlation of what least squares on the ranks of z leave of the ranks of
x and y. Made with SciPy 1.17 and NumPy.
"""

import json
import pathlib

import numpy as np
from scipy import stats


def rest(x, z):
    x, z = stats.rankdata(x), stats.rankdata(z)
    return x - np.polyval(np.polyfit(z, x, 1), z)


def main():
    rng = np.random.default_rng(7)
    cases = []
    for count, levels in [(3, 50), (12, 4), (40, 7), (40, 1000), (200, 30)]:
        z = rng.integers(0, levels, count)
        x = z + rng.integers(0, levels, count)
        y = 2 * x + z + rng.integers(0, 3 * levels, count)
        lists = [[float(v) for v in values] for values in (x, y, z)]
        case = {
            "x": lists[0], "y": lists[1], "z": lists[2],
            "spearman": stats.spearmanr(x, y).statistic,
            "kendall": stats.kendalltau(x, y).statistic,
        }
        if count > 3:
            case["partial"] = float(np.corrcoef(rest(x, z), rest(y, z))[0, 1])
        cases.append({k: v if isinstance(v, list) else float(v) for k, v in case.items()})
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


main()
