#!/usr/bin/env bash
# Our training step beside PyTorch's on this machine: compare.sh WORKLOAD [BATCH [CHANNELS [CELLS]]]
#
# The two never run at the same time: Bench, PyTorch channels-last, PyTorch [N, C, H, W], and again, ROUNDS times
# (3 by default). A round's number is the median of its steps; a program's number is the median of its rounds.
# PyTorch counts with the better of its two layouts. Standard output ends with one JSON line.
set -euo pipefail

usage="usage: compare.sh darts|path [BATCH [CHANNELS [CELLS]]]"
workload=${1:?$usage}
batch=${2:-16} channels=${3:-16} cells=${4:-8} rounds=${ROUNDS:-3}
case $workload in
  darts) our_steps=${STEPS:-10} their_steps=${STEPS:-5} ;;
  path) our_steps=${STEPS:-50} their_steps=${STEPS:-20} ;;
  *) echo "compare.sh: no PyTorch peer for '$workload'; $usage" >&2; exit 2 ;;
esac
for number in "$batch" "$channels" "$cells" "$rounds" "$our_steps" "$their_steps"; do
  case $number in
    '' | *[!0-9]* | 0*) echo "compare.sh: '$number' is no number above 0; $usage" >&2; exit 2 ;;
  esac
done

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
peers=$root/.build/peers
python=$peers/bin/python
say() { echo "compare: $*" >&2; }

# The environment is complete when the marker is there; a half-made one is made again.
if [ ! -e "$peers/complete" ]; then
  say "installing PyTorch into $peers"
  rm -rf "$peers"
  mkdir -p "$root/.build"
  python3 -m venv "$peers"
  # What pip is set up to find first (wheels on disk, a mirror), else PyTorch's own index.
  install=("$python" -m pip install --quiet --disable-pip-version-check numpy torch==2.13.0+cpu)
  "${install[@]}" 2>/dev/null || "${install[@]}" --extra-index-url https://download.pytorch.org/whl/cpu
  touch "$peers/complete"
fi

say "building Bench"
swift build --package-path "$root" -c release --product Bench >&2
bench=$(swift build --package-path "$root" -c release --show-bin-path)/Bench
rows=$(mktemp -d)
trap 'rm -rf "$rows"' EXIT

# One JSON line of ours; what is for people goes on to standard error.
run_ours() {
  "$bench" --workload "$workload" --batch "$batch" --channels "$channels" --cells "$cells" \
    --steps "$our_steps" >>"$rows/ours"
}

# One JSON line of theirs; OPENBLAS_CORETYPE, which some machines set for other programs, would slow it down.
run_theirs() {
  local layout=$1
  shift
  env -u OPENBLAS_CORETYPE "$python" "$here/peers/torch_darts.py" --mode "$workload" --batch "$batch" \
    --c "$channels" --layers "$cells" --steps "$their_steps" --warmup 2 "$@" >>"$rows/$layout"
  tail -n 1 "$rows/$layout" >&2
}

for round in $(seq "$rounds"); do
  say "round $round of $rounds"
  run_ours
  run_theirs channels_last --channels-last
  run_theirs channels_first
done

"$python" - "$rows" "$workload" <<'PYTHON'
import json, statistics, sys

folder, workload = sys.argv[1:]


def read(name):
    with open(f"{folder}/{name}") as file:
        return [json.loads(line) for line in file if line.startswith("{")]


def median(rows, field):
    return statistics.median(row[field] for row in rows)


ours = read("ours")
layouts = {name: read(name) for name in ("channels_last", "channels_first")}
best = min(layouts, key=lambda name: median(layouts[name], "median_s"))
theirs = layouts[best]
(our_time, their_time) = (median(ours, "median_s"), median(theirs, "median_s"))
(our_bytes, their_bytes) = (median(ours, "peak_bytes"), median(theirs, "peak_bytes"))
first = ours[0]
result = {
    "compare": workload,
    "batch": first["batch"],
    "channels": first["channels"],
    "cells": first["cells"],
    "rounds": len(ours),
    "espalier_s": our_time,
    "torch_s": their_time,
    "torch_layout": best,
    "torch_other_s": max(median(rows, "median_s") for rows in layouts.values()),
    "times_faster": round(their_time / our_time, 2),
    "espalier_peak_bytes": int(our_bytes),
    "torch_peak_bytes": int(their_bytes),
    "memory_share": round(our_bytes / their_bytes, 3),
    "launches": median(ours, "launches"),
    "plan_misses": max(row["plan_misses"] for row in ours),
    "round_ratios": [
        round(b["median_s"] / a["median_s"], 2) for a, b in zip(ours, theirs)
    ],
}
print(
    f"{workload}: {our_time * 1e3:.1f} ms against {their_time * 1e3:.1f} ms a step ({best}): "
    f"{result['times_faster']} times as fast; peak memory {our_bytes / 2**20:.0f} MiB against "
    f"{their_bytes / 2**20:.0f} MiB: {result['memory_share']} of it; "
    f"{result['launches']:.0f} launches, {result['plan_misses']} plan misses",
    file=sys.stderr,
)
print(json.dumps(result))
PYTHON
