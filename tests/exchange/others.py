"""Reads a folder by `main.rs` with NumPy, safetensors and `scripts/read_ferry.py`: `others.py FOLDER OUT`.

Compares every array with its fixture by bits. Writes files to OUT for `main.rs` to read.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import safetensors

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import read_ferry  # noqa: E402


def same(a, b):
    """Compares fields and bits in any byte order, without padding."""
    if a.dtype.names is not None or b.dtype.names is not None:
        return a.dtype.names == b.dtype.names and all(same(a[name], b[name]) for name in b.dtype.names)
    if a.dtype.str[0] != b.dtype.str[0]:
        a = a.byteswap().view(a.dtype.newbyteorder(b.dtype.str[0]))
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def check(array, expected, byte_order, what):
    dtype = expected.dtype.newbyteorder(byte_order) if byte_order else expected.dtype
    assert array.dtype == dtype, f"{what}: expected {dtype}, found {array.dtype}"
    assert same(array, expected), f"{what} differs from its fixture"


def fixtures():
    """Returns the arrays of NumPy's types, and those of bfloat16 as float32."""
    numpy = {path.stem: np.load(path) for folder in ("npy", "dtypes") for path in (ROOT / "fixtures" / folder).glob("*.npy")}
    bf16 = {}
    for array in json.loads((ROOT / "fixtures/safetensors/every.json").read_text())["arrays"]:
        if array["dtype"] == "<bf2":
            bits = np.array([int(element, 16) << 16 for element in array["elements"]], np.uint32)
            bf16[array["name"]] = bf16[array["name"] + ".big"] = bits.view(np.float32).reshape(array["shape"])
    return numpy, bf16


def arrays(folder, out, numpy, bf16):
    for kept in "recorded", "little", "big":
        byte_order = {"recorded": None, "little": "<", "big": ">"}[kept]
        for order in "CF":
            way = f"{kept}-{order}"
            containers = list(folder.glob(f"{way}*.ferry"))
            assert containers, f"no {way}"
            for path in containers:
                found = read_ferry.read(path)
                assert found.keys() == numpy.keys() | bf16.keys(), path
                for name, array in found.items():
                    if name in bf16:
                        assert same(array, bf16[name]), f"{name} of {path}"
                    else:
                        check(array, numpy[name], byte_order, f"{name} of {path}")

            with np.load(folder / f"{way}.npz") as archive:
                found = dict(archive)
            assert found.keys() == numpy.keys(), way
            for name, array in found.items():
                check(array, numpy[name], byte_order, f"{name} of {way}.npz")
            # Both kinds of archive that NumPy writes.
            (np.savez if order == "C" else np.savez_compressed)(out / f"{way}.npz", **found)

            if kept == "recorded":
                (out / way).mkdir()
                for name, expected in numpy.items():
                    array = np.load(folder / way / f"{name}.npy")
                    check(array, expected, None, f"{name}.npy of {way}")
                    np.save(out / way / f"{name}.npy", array)


def tensors(path, out, numpy, bf16):
    found = dict(safetensors.deserialize(path.read_bytes()))
    expected = {name for name, array in numpy.items() if array.dtype.kind in "biufc" and array.dtype.itemsize < 16}
    assert found.keys() == expected | bf16.keys(), path
    with safetensors.safe_open(path, "np") as file:
        for name in expected:
            check(file.get_tensor(name), numpy[name], "<", f"{name} of {path}")
    for name in bf16:
        bits = np.frombuffer(found[name]["data"], "<u2").astype(np.uint32) << 16
        assert bits.tobytes() == bf16[name].tobytes(), f"{name} of {path}"
    specs, kept = {}, []
    for name, tensor in found.items():
        data = np.array(bytearray(tensor["data"]), "u1")
        kept.append(data)
        dtype = "bfloat16" if name in bf16 else numpy[name].dtype.name
        specs[name] = safetensors.TensorSpec(
            dtype=dtype, shape=tensor["shape"], data_ptr=data.ctypes.data, data_len=data.nbytes
        )
    (out / path.name).write_bytes(safetensors.serialize(specs))


def value(path):
    """Returns the value of `value.rs`."""
    dtype = {"names": ["a", "b", "c", "d"], "formats": ["<u2", ">i4", "S2", ">M8[s]"], "offsets": [0, 2, 7, 9], "itemsize": 17}
    i, j, k = np.indices((2, 3, 4), "i4")
    rows, columns = np.indices((5, 3), "f8")
    expected = {
        "text": "größe \U0010ffff",
        "letter": "ß",
        "truth": True,
        "least": [-(2**7), -(2**15), -(2**31), -(2**63)],
        "most": [2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1],
        "wide": [(-2).to_bytes(16, "big", signed=True), (2**100).to_bytes(16, "big")],
        "floats": [float(np.float32(1.5e-45)), -0.1],
        "nothing": None,
        "options": [None, *map(read_ferry.Somes, (1, 2, 3))],
        "kinds": [
            "Unit",
            {"Newtype": 255},
            {"Tuple": [-1, "two"]},
            {"Struct": {"weight": np.array([[1.5, -2.5], [3.5, 4.5]], "f4"), "scale": 0.5}},
        ],
        "by_name": {"a.b": np.full(200, 0.25), "short": [2.0]},
        "by_number": {-300: [1, "a"], 7: [2, "b"]},
        "few_bytes": bytes([1, 2, 255]),
        "many_bytes": np.resize(np.arange(256, dtype="u1"), 2000),
        "few": [-1, 2],
        "many": np.arange(5000, dtype="u2"),
        "complex": np.arange(100) - 1.5j,
        "half": np.arange(1000).astype("f2"),
        "brain": (np.arange(1000, dtype="u4") << 21).view("f4"),
        "plain": 100 * i + 10 * j + k,
        "shared": (10 * rows + columns) / 8,
        "flags": np.array([True, False, True]),
        # An empty plain array, whose element type the file does not record.
        "none": {"v": 1, "dim": [0], "data": []},
        "records": np.array([(0x0201, 0x03040506, b"hi", -2)] * 3, dtype),
    }
    assert equal(read_ferry.read(path), expected), path


def equal(a, b):
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and same(a, b)
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def main(folder, out):
    folder, out = Path(folder), Path(out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    numpy, bf16 = fixtures()
    arrays(folder, out, numpy, bf16)
    tensors(folder / "all.safetensors", out, numpy, bf16)
    for path in folder.glob("value*.ferry"):
        value(path)
    (out / "writer").write_text("numpy")
    print(f"{len(numpy)} arrays of {(folder / 'writer').read_text()} order read by NumPy {np.__version__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
