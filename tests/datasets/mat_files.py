"""Writers of small files laid out as MATLAB and the published recordings lay out theirs."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io

KINDS = {"f8": "double", "f4": "single", "b1": "logical", "u2": "uint16", "i4": "int32", "u1": "uint8"}
COHERENCES = np.array([-0.5, -0.15, -0.05, 0.05, 0.15, 0.5])
HATSOPOULOS = "Dataset5_Monkey4_Session1_ReachDataSimultaneousRecording.mat"


def mat73(path: Path, **variables) -> Path:
    """Arrays, str, lists (cell rows, nested) and dicts (structs), as MATLAB 7.3 stores them."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            _store(file, name, value)
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2018 HDF5 schema 1.00 ."
    with path.open("r+b") as handle:
        handle.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


def _store(group: h5py.Group, name: str, value: object) -> None:
    kind, values = "", value
    if isinstance(value, dict):
        for field, item in value.items():
            _store(group.require_group(name), field, item)
        kind = "struct"
    elif isinstance(value, list):
        kind, values = "cell", np.empty((len(value), 1), dtype=h5py.ref_dtype)
        references = group.file.require_group("#refs#")
        for i, item in enumerate(value):
            key = f"{name}_{i}"
            _store(references, key, item)
            values[i, 0] = references[key].ref
        values = values.T
    elif isinstance(value, str):
        kind, values = "char", np.array([[ord(c) for c in value]], dtype="u2").reshape(1, -1)
    else:
        values = np.atleast_2d(value)
        kind = KINDS[values.dtype.str[1:]]
    if kind != "struct":
        empty = values.size == 0
        stored = np.array(values.shape, dtype="u8") if empty else values.T
        group[name] = stored.astype("u1") if kind == "logical" else stored
        if empty:
            group[name].attrs["MATLAB_empty"] = np.uint8(1)
    group[name].attrs["MATLAB_class"] = np.bytes_(kind)


def mante_unit(seed: int, trials: int = 600, samples: int = 101, **changes) -> dict:
    """The struct `unit` of one file: random spikes in random conditions, 10 % of the choices wrong."""
    rng = np.random.default_rng(seed)
    motion, color = (rng.choice(COHERENCES, trials) for _ in range(2))
    context = rng.choice([1, -1], trials)
    full = np.stack(np.meshgrid(COHERENCES, COHERENCES, [1, -1], indexing="ij")).reshape(3, 72)
    motion[:72], color[:72], context[:72] = full
    right = np.sign(np.where(context == 1, motion, color))
    correct = np.where(np.arange(trials) < 72, 1, rng.random(trials) > 0.1)
    variables = {
        "stim_dir": motion,
        "stim_col": np.abs(color),
        "targ_dir": np.where(correct == 1, right, -right),
        "context": context,
        "correct": correct,
        "stim_col2dir": color,
        "stim_trial": np.arange(1, trials + 1),
    }
    unit = {
        "response": (rng.random((trials, samples)) < 0.05).astype(float),
        "task_variable": {name: values.astype(float)[:, None] for name, values in variables.items()},
        "time": 0.1 + 0.001 * np.arange(samples),
    }
    return unit | changes


def mat5(**variables) -> bytes:
    handle = io.BytesIO()
    scipy.io.savemat(handle, variables, do_compression=True)
    return handle.getvalue()


def mante_zip(folder: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / "PFC data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return folder / "PFC data.zip"
