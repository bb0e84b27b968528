"""A PyTorch file gives the numbers that PyTorch wrote, runs nothing, and fails in one way only."""

import os
import pickle
import random
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from sde_jax.checkpoints import read_torch
from sde_jax.errors import InputError

FIXTURES = Path(__file__).parent / "fixtures"
ZIP, LEGACY = FIXTURES / "torch_zip.pth", FIXTURES / "torch_legacy.pth"


def plain(value: object) -> bytes:
    """The instructions that put a plain value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def named(name: str) -> bytes:
    module, _, last = name.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def call(name: str, *arguments: bytes) -> bytes:
    return named(name) + b"(" + b"".join(arguments) + b"tR"


def storage(key: str = "0", kind: str = "torch.FloatStorage", count: object = 6, view: bytes = b"") -> bytes:
    return b"(" + plain("storage") + named(kind) + plain(key) + plain("cpu") + plain(count) + view + b"tQ"


def tensor(offset: object = 0, size: object = (2, 3), stride: object = (3, 1), where: bytes | None = None) -> bytes:
    arguments = [where or storage(), *map(plain, (offset, size, stride, False)), call("collections.OrderedDict")]
    return call("torch._utils._rebuild_tensor_v2", *arguments)


def written(
    path: Path, program: bytes, numbers: object = range(6), method: int = zipfile.ZIP_STORED, **members
) -> Path:
    """A file of torch.save whose pickle is the program, with one storage of float32."""
    content = {"data.pkl": b"\x80\x02" + program + b".", "data/0": np.array(numbers, np.float32).tobytes()}
    with zipfile.ZipFile(path / "x.pth", "w", method) as archive:
        for name, value in (content | members).items():
            archive.writestr(f"x/{name}", value)
    return path / "x.pth"


def same(found: object, expected: object) -> bool:
    """Equal containers, and arrays equal in type, shape and values."""
    if isinstance(expected, np.ndarray):
        return (
            type(found) is np.ndarray
            and found.dtype == expected.dtype
            and found.shape == expected.shape
            and np.array_equal(found, expected)
        )
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


def expected() -> dict[str, object]:
    """What fixtures/make.py saved."""
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    kinds = (
        "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 uint16 uint32 uint64"
    )
    state = {"0.weight": (3, 2), "0.bias": 3, "1.weight": 3, "1.bias": 3, "1.running_mean": 3, "1.running_var": 3}
    model = {name: np.full(shape, number, np.float32) for number, (name, shape) in enumerate(state.items())}
    return {
        "model": model | {"1.num_batches_tracked": np.array(6)},
        "dtypes": {f"torch.{kind}": np.arange(4).astype(np.dtype(kind)) for kind in kinds.split()},
        "bool": np.array([True, False]),
        "complex": np.array([1 + 2j, 3 - 4j], np.complex64),
        "complex128": np.array([1 + 2j]),
        "base": base,
        "transposed": base.T,
        "window": base[1:, 1::2],
        "parameter": base[0],
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(5, np.float32),
        "expanded": np.ones((2, 3), np.float32),
        "storage": np.arange(3, dtype=np.uint8),
        "numpy": [np.float64(0.5), np.int32(-3), np.bool_(True)],
        "plain": {"step": 7, "rate": 1e-3, "text": "é", "none": None, "flags": (True, False), "big": 2**70},
        "sets": [{1, 2}, frozenset({"a"}), b"\x00\xff", b"", 1 + 2j],
        "torch": [(2, 3), "cuda:1", "cpu", np.dtype("float16")],
        "counter": {3: 1},
    }


@pytest.mark.parametrize("path", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_the_values_are_those_that_pytorch_saved(path):
    found = read_torch(path)
    assert list(found) == list(expected())
    assert [name for name, value in expected().items() if not same(found[name], value)] == []
    assert "torch" not in sys.modules


@pytest.mark.parametrize("path", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_tensors_that_share_a_storage_share_memory(path):
    found = read_torch(path)
    assert all(np.shares_memory(found["base"], found[name]) for name in ("transposed", "window", "parameter"))


def test_the_official_codes_checkpoint_is_read_with_its_layout(golden):
    found = read_torch(golden / "official_layout_ckpt_ncsnpp_ve.pth")
    assert list(found) == ["optimizer", "model", "ema", "step"]
    recorded = np.load(golden / "net_ncsnpp_ve.npz")
    shapes = {name.replace("param/", "module."): recorded[name].shape for name in recorded.files if "param/" in name}
    assert {name: value.shape for name, value in found["model"].items()} == shapes
    assert sum(value.size for value in found["ema"]["shadow_params"]) == recorded["n_trainable"]
    assert same(found["model"]["module.sigmas"], recorded["param/sigmas"])


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickle_gives_the_same_plain_values(tmp_path, protocol):
    shared = [1, 2]
    value = {
        "numbers": [0, -1, 255, 256, 65536, -(2**31), 2**40, 2**3000, 1.5, -0.0, True, False, None],
        "text": ["a", "é\n\\", "x" * 300],
        "bytes": [b"", b"\x00\xff", b"y" * 300],
        "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, [[[]]], [shared, shared]],
        "sets": [set(), {1, 2}, frozenset(), frozenset({"a"})],
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
        7: "a whole number as a key",
        None: 1,
    }
    program = pickle.dumps(value, protocol)
    found = read_torch(written(tmp_path, b"", **{"data.pkl": program}))
    assert same(found, value | {"ordered": {"b": 1, "a": 2}})
    assert found["containers"][-1][0] is found["containers"][-1][1]


@pytest.mark.parametrize("program", [b"(0", b"(" + plain(1) + b"1", plain(1) + b"0"])
def test_values_and_marks_are_dropped(tmp_path, program):
    assert read_torch(written(tmp_path, plain(5) + program)) == 5


def test_a_tensor_is_a_view_of_its_storage_without_a_copy(tmp_path):
    pair = b"(" + tensor() + tensor(1, (3, 2), (1, 2)) + b"t"
    found = read_torch(written(tmp_path, pair))
    assert found[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found[1].tolist() == [[1, 3], [2, 4], [3, 5]]
    assert np.shares_memory(*found)
    assert not found[0].flags.writeable


@pytest.mark.parametrize("kind", ["<f4", "<i2", "<f8", "<c8", "|u1", "bfloat16"])
def test_big_endian_storages_are_turned(tmp_path, kind):
    names = {
        "<f4": "Float",
        "<i2": "Short",
        "<f8": "Double",
        "<c8": "ComplexFloat",
        "|u1": "Byte",
        "bfloat16": "BFloat16",
    }
    dtype = np.dtype(ml_dtypes.bfloat16) if kind == "bfloat16" else np.dtype(kind)
    values = np.array([1, 2, 200], dtype)
    words = values.view(np.dtype(f"u{values.real.dtype.itemsize}"))
    where = storage(kind=f"torch.{names[kind]}Storage", count=3)
    path = written(
        tmp_path, tensor(0, (3,), (1,), where), **{"data/0": words.byteswap().tobytes(), "byteorder": b"big"}
    )
    assert same(read_torch(path), values)


def test_the_tensors_of_the_first_versions_of_pytorch_are_read(tmp_path):
    program = call("torch._utils._rebuild_tensor", storage(), plain(1), plain((2,)), plain((3,)))
    assert read_torch(written(tmp_path, program)).tolist() == [1, 4]


class Canary:
    """An object whose pickle runs a command when Python loads it."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def hostile(canary: Path) -> dict[str, tuple[bytes, str]]:
    """Programs, and the words of the message."""
    run = plain(f"touch {canary}")
    python = plain(f"open({str(canary)!r}, 'w')")
    thing = named("collections.OrderedDict") + b")R"
    return {
        "a command": (call("os.system", run), "os.system"),
        "python": (call("builtins.eval", python), "builtins.eval"),
        "an older name": (call("__builtin__.eval", python), "__builtin__.eval"),
        "reduce": (plain(Canary(canary)), ".system"),
        "a canary in a state": (plain({"model": [1, {"x": Canary(canary)}]}), ".system"),
        "getattr": (call("builtins.getattr", named("torch.serialization"), plain("os")), "builtins.getattr"),
        "an attribute of torch": (
            named("torch.serialization.os.system") + b"(" + run + b"tR",
            "torch.serialization.os.sys",
        ),
        "a dotted name": (
            plain("torch.serialization") + plain("os.system") + b"\x93(" + run + b"tR",
            "torch.serialization",
        ),
        "a name with a space": (plain("torch._utils _rebuild_tensor_v2") + plain("") + b"\x93", "torch._utils"),
        "a name that is no text": (plain(("os",)) + plain("system") + b"\x93", "a tuple"),
        "a module from bytes": (call("torch.storage._load_from_bytes", plain(b"")), "torch.storage._load_from_bytes"),
        "NumPy's loader": (call("numpy.load", plain("x")), "numpy.load"),
        "an instance": (b"(" + run + b"ios\nsystem\n", "INST os system"),
        "an object": (b"(" + named("os.system") + run + b"o", "os.system"),
        "an object of ours": (b"(" + named("collections.OrderedDict") + b"o", "OBJ"),
        "a new object": (named("collections.OrderedDict") + b")\x81", "NEWOBJ"),
        "a new object with keywords": (named("collections.OrderedDict") + b")}\x92", "NEWOBJ_EX"),
        "an extension": (b"\x82\x01", "EXT1"),
        "a buffer": (b"\x97", "NEXT_BUFFER"),
        "a state of a list": (b"]" + plain({"x": 1}) + b"b", "state of a list"),
        "a state that is no dict": (thing + plain([1]) + b"b", "state of a dict"),
        "a call of a number": (plain(1) + b")R", "calls a int"),
        "a call of a storage": (named("torch.FloatStorage") + b")R", "calls a StorageKind"),
        "a call with a list": (named("collections.OrderedDict") + b"]R", "calls a Constructor"),
        "a function as a value": (named("_codecs.encode"), "Constructor as a value"),
        "a storage's class as a value": (named("torch.FloatStorage"), "StorageKind as a value"),
        "another encoding": (call("_codecs.encode", plain("7"), plain("zlib_codec")), "encoding"),
        "another persistent id": (plain("os") + b"Q", "no storage"),
        "a list as a set": (b"](" + plain(1) + b"\x90", "as if it were a set"),
    }


@pytest.mark.parametrize("name", hostile(Path()))
def test_what_is_no_tensor_and_no_plain_container_is_refused_and_not_run(tmp_path, name):
    canary = tmp_path / "canary"
    program, words = hostile(canary)[name]
    with pytest.raises(InputError, match=r"x\.pth ") as raised:
        read_torch(written(tmp_path, program))
    assert words in str(raised.value)
    assert not canary.exists()


def test_the_canary_would_have_sung(tmp_path):
    pickle.loads(b"\x80\x02" + hostile(tmp_path / "canary")["a command"][0] + b".")
    assert (tmp_path / "canary").exists()


def scalar(name: str, state: tuple | None = (3, "<", None, None, None, -1, -1, 0), data: bytes = bytes(8)) -> bytes:
    dtype = call("numpy.dtype", plain(name), plain(False), plain(True))
    text = call("_codecs.encode", plain(data.decode("latin1")), plain("latin1"))
    return call("numpy._core.multiarray.scalar", dtype + (plain(state) + b"b" if state else b""), text)


def test_numpy_scalars_keep_type_and_value(tmp_path):
    for value in (np.float32(1.5), np.int64(-2), np.uint8(200), np.complex64(1j), np.bool_(True)):
        code = value.dtype.kind + str(value.dtype.itemsize)
        found = read_torch(written(tmp_path, scalar(code, data=value.tobytes())))
        assert type(found) is type(value)
        assert found == value


@pytest.mark.parametrize(
    "program",
    [
        scalar("O8"),
        scalar("V8"),
        scalar("S8"),
        scalar("M8[s]"),
        scalar("f8", (3, ">", None, None, None, -1, -1, 0)),
        scalar("f8", (3, "<", None, ("a",), {"a": (1, 0)}, 8, 1, 0)),
        scalar("f8", (3, "<", ("f4", (2,)), None, None, -1, -1, 0)),
        scalar("f8", data=bytes(7)),
        call("numpy.dtype", plain([("a", "O")])),
        call("numpy.core.multiarray._reconstruct", named("numpy.ndarray"), plain((0,)), plain("b")),
        call("numpy._core.multiarray.scalar", plain("O"), plain("x")),
    ],
)
def test_objects_and_records_of_numpy_are_refused(tmp_path, program):
    with pytest.raises(InputError, match=r"NumPy|numpy"):
        read_torch(written(tmp_path, program))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (tensor(1), "element 6 of a storage of 6"),
        (tensor(0, (2, 3), (4, 1)), "element 6 of"),
        (tensor(6, (1,), (1,)), "element 6 of"),
        (tensor(-1), "without a storage"),
        (tensor(0, (-2, 3)), "without a storage"),
        (tensor(0, (2, 3), (-3, 1)), "without a storage"),
        (tensor(0, (2.0, 3)), "without a storage"),
        # Products of lengths and strides that are 0 modulo 2^64.
        (tensor(0, (5,), (2**62,)), "element"),
        (tensor(0, (2**32, 2**32), (0, 0)), "elements on a storage"),
        (tensor(0, (2**21,), (0,)), "elements on a storage"),
        (tensor(0, (2, 3), (3,)), "damaged"),
        (tensor(where=tensor()), "without a storage"),
        (tensor(where=plain([0.0] * 6)), "without a storage"),
        (tensor(where=storage(count=5)), "24 bytes in storage 0, 20 expected"),
        (tensor(where=storage(count=7)), "24 bytes in storage 0, 28 expected"),
        (tensor(where=storage(kind="torch.DoubleStorage")), "24 bytes in storage 0, 48 expected"),
        (tensor(where=storage(count=-1)), "no storage of a tensor"),
        (tensor(where=storage(count=2**63)), "no storage of a tensor"),
        (tensor(where=storage(count="6")), "no storage of a tensor"),
        (tensor(where=storage(view=plain(("1", 0, 6)))), "no storage of a tensor"),
        (tensor(where=storage("1")), "no storage 1"),
        (tensor(where=storage("../data.pkl")), "no storage ../data.pkl"),
        (call("torch._utils._rebuild_parameter", plain([1])), "parameter"),
        (
            call("torch._utils._rebuild_tensor_v2", storage(), *map(plain, (0, (6,), (1,), False, {}, {"conj": True}))),
            "conj",
        ),
        (call("torch._utils._rebuild_tensor_v3", storage(), *map(plain, (0, (6,), (1,), False, {}, "f4"))), "a type"),
        (call("torch.Size", plain(("a",))), "torch.Size"),
        (call("torch.device", plain(3)), "torch.device"),
    ],
)
def test_a_tensor_never_leaves_its_storage(tmp_path, program, words):
    with pytest.raises(InputError) as raised:
        read_torch(written(tmp_path, program))
    assert words in str(raised.value)


def nested(times: int, layer: bytes = b"2\x86") -> bytes:
    """A tuple of twice the tuple of twice the ..., which has 2^times leaves."""
    return b")" + layer * times


@pytest.mark.parametrize(
    "program",
    [
        nested(40),
        b"]" + b"q\x00h\x00a",
        b"]" * 5000 + b"a" * 4999,
        b"}" + nested(60) + plain(1) + b"s",
        call("builtins.frozenset", b"](" + nested(60) + b"e"),
        b"(" + nested(60) + b"\x91",
        plain("x") + nested(60) + b"\x93",
        call("numpy.dtype", nested(60)),
        nested(60) + b"Q",
    ],
)
def test_containers_without_end_are_refused_at_once(tmp_path, program):
    with pytest.raises(InputError):
        read_torch(written(tmp_path, program))


def test_compressed_members_and_bombs_are_refused(tmp_path):
    with pytest.raises(InputError, match="compressed or encrypted"):
        read_torch(written(tmp_path, tensor(), method=zipfile.ZIP_DEFLATED))
    content = bytearray(written(tmp_path, tensor()).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "encrypted.pth").write_bytes(content)
    with pytest.raises(InputError, match="x/data/0 compressed or encrypted"):
        read_torch(tmp_path / "encrypted.pth")
    for signature, field in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        struct.pack_into("<II", content, content.rindex(signature) + field, 2**30, 2**30)
    (tmp_path / "bomb.pth").write_bytes(content)
    with pytest.raises(InputError, match="more bytes than the file"):
        read_torch(tmp_path / "bomb.pth")


def test_members_are_named_once_and_lie_in_one_folder(tmp_path):
    path = written(tmp_path, tensor())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x/data/0", bytes(24))
    with pytest.raises(InputError, match="twice"):
        read_torch(path)
    with pytest.raises(InputError, match="byte order"):
        read_torch(written(tmp_path, tensor(), byteorder=b"middle"))
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    with pytest.raises(InputError, match="without a PyTorch pickle"):
        read_torch(tmp_path / "arrays.npz")


def test_a_flipped_bit_of_the_numbers_is_found(tmp_path):
    content = bytearray(written(tmp_path, tensor()).read_bytes())
    content[content.index(np.float32(5).tobytes())] ^= 1
    (tmp_path / "flipped.pth").write_bytes(content)
    with pytest.raises(InputError, match="x/data/0 is not as it was saved"):
        read_torch(tmp_path / "flipped.pth")


def legacy(program: bytes, keys: object = ("0",), protocol: int = 1001, count: int = 6) -> bytes:
    """A file of torch.save before PyTorch 1.6."""
    parts = [plain(0x1950A86A20F9469CFC6C), plain(protocol), plain({}), program, plain(list(keys))]
    numbers = struct.pack("<q", count) + np.arange(6, dtype=np.float32).tobytes()
    return b"".join(b"\x80\x02" + part + b"." for part in parts) + numbers * len(list(keys))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (legacy(call("os.system", plain("true"))), "os.system"),
        (legacy(tensor(), protocol=1000), "protocol 1001"),
        (legacy(tensor(), keys=()), "other storages"),
        (legacy(tensor(), keys=("1",)), "other storages"),
        (legacy(tensor(), count=5), "another size of storage 0"),
        (legacy(tensor())[:-1], "damaged"),
        (legacy(tensor(where=storage(count=2**40))), "more bytes than the file"),
        (legacy(b"(" + tensor() + tensor(0, (1,), (1,), storage(count=1)) + b"t"), "two different ones"),
    ],
)
def test_a_legacy_file_is_held_to_what_it_announces(tmp_path, content, words):
    (tmp_path / "x.pth").write_bytes(legacy(tensor()))
    assert read_torch(tmp_path / "x.pth").tolist() == [[0, 1, 2], [3, 4, 5]]
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_torch(tmp_path / "x.pth")
    assert words in str(raised.value)


def outcome(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    try:
        read_torch(path)
    except InputError as error:
        return "refused" if "\n" not in str(error) else "refused at length"
    return "read"


@pytest.mark.parametrize("source", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_a_shortened_file_is_always_refused(tmp_path, source):
    content = source.read_bytes()
    lengths = sorted({*range(1, len(content), 61), *range(len(content) - 60, len(content))})
    assert {outcome(tmp_path / "short.pth", content[:length]) for length in lengths} == {"refused"}


@pytest.mark.parametrize("source", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_a_damaged_file_is_refused_or_read_but_nothing_else(tmp_path, source):
    content = source.read_bytes()
    generator = random.Random(0)
    outcomes = []
    for _ in range(250):
        damaged = bytearray(content)
        for _ in range(generator.choice([1, 1, 1, 3, 20])):
            damaged[generator.randrange(len(content))] = generator.randrange(256)
        outcomes.append(outcome(tmp_path / "damaged.pth", bytes(damaged)))
    assert {"refused"} <= set(outcomes) <= {"refused", "read"}


def test_damaged_pickles_are_refused_or_read_but_nothing_else(tmp_path):
    with zipfile.ZipFile(ZIP) as archive:
        program = archive.read("torch_zip/data.pkl")
        storages = {
            name.removeprefix("torch_zip/"): archive.read(name) for name in archive.namelist() if "/data/" in name
        }
    generator = random.Random(1)
    for _ in range(200):
        damaged = bytearray(program)
        for _ in range(generator.choice([1, 1, 2, 5])):
            damaged[generator.randrange(len(program))] = generator.randrange(256)
        path = written(tmp_path, b"", **storages, **{"data.pkl": bytes(damaged)})
        outcome(tmp_path / "damaged.pth", path.read_bytes())


def test_what_is_no_pytorch_file_is_refused(tmp_path):
    for content in (b"hello", b"{}", b"\0", pickle.dumps({"a": 1})):
        (tmp_path / "x.pth").write_bytes(content)
        with pytest.raises(InputError, match="no PyTorch file"):
            read_torch(tmp_path / "x.pth")
