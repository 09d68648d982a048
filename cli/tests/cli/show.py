"""Writes arrays of many dtypes and shapes, and the texts that NumPy prints for them.

The argument is a folder. `arrays.npz` gets the arrays and `arrays.txt` the output that
`ndferry show` should have. `slices.npy` is an array, and `slices.json` lists slices of it with
their texts."""

import json
import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
random = np.random.default_rng(1)
arrays = {}


def add(array):
    arrays[f"{len(arrays):04}"] = np.asarray(array)


SHAPES = [(), (1,), (5,), (40,), (3, 4), (2, 3, 4), (2, 0, 3), (0,), (1, 1, 1, 1), (1001,), (9, 130), (8, 7, 2, 9)]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, 0.1, 1e-5, 1e8, 123456.789, 1 / 3]


def numbers(dtype, size):
    """Floats with few or many digits, around one scale or many."""
    values = random.standard_normal(size)
    form = random.integers(6)
    if form == 0:
        values = np.round(values * 100, random.integers(4))
    elif form == 1:
        values *= 10.0 ** random.integers(-8, 8, size)
    elif form == 2:
        values = 10.0 ** random.integers(-5, 9, size)
    elif form == 3:
        values = np.where(random.random(size) < 0.4, random.choice(SPECIAL, size), values)
    elif form == 4:
        values = random.integers(1, 1100, size) * 10.0 ** random.integers(-4, 5)
    return values.astype(dtype)


with np.errstate(all="ignore"):
    for code in ("f2", "f4", "f8"):
        for order in "<>":
            for shape in SHAPES:
                add(numbers(order + code, shape))
        for size in range(1, 200):
            add(numbers("<" + code, size % 9 + 1))
            add(numbers("<" + code, ()))
    for code in ("c8", "c16"):
        part = {"c8": "f4", "c16": "f8"}[code]
        for shape in SHAPES:
            add((numbers(part, shape) + 1j * numbers(part, shape)).astype(">" + code))
        for size in range(1, 100):
            parts = np.empty(size % 5, code)
            parts.real, parts.imag = numbers(part, size % 5), numbers(part, size % 5)
            add(parts)
    every_half = np.arange(1 << 16, dtype="u2").view("f2")
    for part in np.split(every_half[np.isfinite(every_half)][:63488], 64):
        add(part)
    for value in every_half[::97]:
        add(value)

for code in ("i1", "i2", ">i4", "i8", "u1", ">u2", "u4", "u8"):
    limits = np.iinfo(code)
    for shape in SHAPES:
        add(random.integers(limits.min, limits.max, shape, np.dtype(code).newbyteorder("="), True).astype(code))
        add(random.integers(0, 100, shape).astype(code))
for shape in SHAPES:
    add(random.random(shape) < 0.5)
    add(np.asfortranarray(random.integers(-9, 9, shape)))

texts = ["", "a", "it's", 'say "no"', "'\"", "tab\tline\n\\", "naïve 数字", "\x1b[1m", "e\u0301", "\u202e\u2028", "x" * 80]
bytestrings = [b"", b"a", b"it's", b'"\'', b"\t\n\\\x00\x01", b"\xff\x80", b"x" * 80]
for shape in SHAPES:
    if shape:
        add(random.choice(np.array(texts, "<U80"), shape))
        add(random.choice(np.array(texts, ">U80"), shape))
        add(random.choice(np.array(bytestrings), shape))
        add(random.choice(np.array(["one", "three"]), shape))
    add(random.integers(0, 256, (*shape, 3)).astype("u1").copy().view("V3").reshape(shape))
add(np.array("naïve"))

for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "25us", "7D"):
    for kind in "Mm":
        for shape in SHAPES:
            counts = random.integers(-2000, 4000, shape)
            if random.random() < 0.5:
                counts = np.where(random.random(shape) < 0.2, np.iinfo("i8").min, counts)
            add(counts.astype("i8").view(f"{kind}8[{unit}]"))

np.savez(folder / "arrays.npz", **arrays)
outputs = []
for name, array in arrays.items():
    shape = "×".join(map(str, array.shape)) or "scalar"
    outputs.append(f"{name}: {array.dtype.str} {shape}\n{str(array)}\n")
(folder / "arrays.txt").write_text("\n".join(outputs))

base = np.arange(6 * 7 * 8).reshape(6, 7, 8)
np.save(folder / "slices.npy", base)
slices = ["0", "-1", "0, 0, 0", "::2", "::-1, 0", "1:3, ..., -1", "..., ::-3", "5:1:-2, 2:, 3", ":, :, 7"]
slices += ["10:", "-100:2, 1", "0, 6:0:-1, ::4", "...", "2, ...", "-6, -7, -8", "3:3", "0, :, 1:1"]
slices = [[text, str(eval(f"base[{text}]"))] for text in slices]
(folder / "slices.json").write_text(json.dumps(slices))
