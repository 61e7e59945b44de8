#!/usr/bin/env python3
"""Cuts fashion-mnist-mini from Fashion-MNIST: the first 6,000 training and 2,000 test images.

    python3 cut_fashion_mnist_mini.py SOURCE_DIRECTORY [TARGET_DIRECTORY]

The source holds the four official .gz files (github.com/zalandoresearch/fashion-mnist) and, for the
licence, LICENSES/Fashion-MNIST-MIT.txt or LICENSE. Time stamps and names are left out of the .gz, so
that the same zlib gives the same bytes.
"""
import gzip
import hashlib
import io
import pathlib
import struct
import sys

COUNTS = {"train": 6000, "t10k": 2000}
OFFICIAL_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def cut(data: bytes, count: int) -> bytes:
    """The first items of an IDX file of unsigned bytes."""
    zero, kind, axes = struct.unpack(">HBB", data[:4])
    assert (zero, kind) == (0, 8), "not an IDX file of unsigned bytes"
    sizes = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    item = 1
    for size in sizes[1:]:
        item *= size
    start = 4 + 4 * axes
    assert sizes[0] >= count and len(data) == start + sizes[0] * item
    header = data[:4] + struct.pack(f">{axes}I", count, *sizes[1:])
    return header + data[start : start + count * item]


def compress(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=9, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def main() -> None:
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else __file__).resolve()
    if target.suffix == ".py":
        target = target.parent / "fashion-mnist-mini"
    target.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, md5 in OFFICIAL_MD5.items():
        packed = (source / name).read_bytes()
        assert hashlib.md5(packed).hexdigest() == md5, f"{name} is not the official file"
        plain = cut(gzip.decompress(packed), COUNTS[name.split("-")[0]])
        small = compress(plain)
        (target / name).write_bytes(small)
        rows.append(f"{hashlib.sha256(small).hexdigest()}  {len(small):>8}  {name}")
        rows.append(f"    unpacked: {hashlib.sha256(plain).hexdigest()}  {len(plain)}")
    licence = source / "LICENSES" / "Fashion-MNIST-MIT.txt"
    if not licence.exists():
        licence = source / "LICENSE"
    (target / "LICENSE").write_bytes(licence.read_bytes())
    (target / "ORIGIN.txt").write_text(ORIGIN + "\n".join(rows) + "\n")


ORIGIN = """\
fashion-mnist-mini: the first 6,000 training and the first 2,000 test images of Fashion-MNIST
(28x28 grey, 10 classes), in their original order.

SOURCE   github.com/zalandoresearch/fashion-mnist, data/fashion, the four official .gz files
         (md5 8d4fb7e6c68d591d4c3dfef9ec88bf0d train images, 25c81989df183df01b3e8a0aad5dffbe train
         labels, bef4ecab320f06d8554ea6380940ec79 test images, bb300cfdad3c16e7a12a480ee83cd310 test
         labels). Xiao, Rasul and Vollgraf, "Fashion-MNIST", arXiv:1708.07747, 2017.
LICENCE  MIT, Copyright (c) 2017 Zalando SE (LICENSE).
CUT      by ../cut_fashion_mnist_mini.py, which checks the md5 above; gzip level 9, no time stamp.
CLASSES  0 T-shirt/top 1 Trouser 2 Pullover 3 Dress 4 Coat 5 Sandal 6 Shirt 7 Sneaker 8 Bag
         9 Ankle boot
FORMAT   IDX, unsigned byte.

FILES (sha256, bytes, name; "unpacked" = sha256 and bytes after gunzip)
"""

if __name__ == "__main__":
    main()
