"""Made-up runs for figures."""

import zlib
from pathlib import Path

import numpy as np

from simopt.store.reader import Run

CONFIG = """measure:
  _target_: simopt.measures.kernel.KernelSimilarity
  name: cka
optimizer:
  lr: {lr}
seeds:
{seeds}
device: {device}
force: false
log:
  dir: {folder}
target: 0.99
"""


def made(
    measure: str = "cka",
    seeds=(0,),
    *,
    dataset: str = "d",
    source: str = "real",
    data: str = "aa11",
    lr: float = 0.1,
    folder: str = "outputs",
    device: str = "auto",
    T: int = 9,
    K: int = 6,
    decoded: tuple[str, ...] = (),
    shape: tuple[int, int] | None = None,
    **attributes,
) -> Run:
    """Return a run whose score rises evenly, later seeds from higher; PC k is captured as score^k.

    With a ``shape``, samples and units, it has kept a last Y.
    """
    score = np.linspace(0.05 * np.array(seeds, float), 0.95, T)
    ratio = 0.5 ** np.arange(1, K + 1)
    written = "\n".join(f"- {seed}" for seed in seeds)
    config = CONFIG.format(lr=lr, seeds=written, device=device, folder=folder)
    step = np.arange(T)
    name = zlib.crc32(config.encode())
    return Run(
        path=Path(folder) / dataset / measure / f"{source}-{name:012x}" / "run.h5",
        attributes={
            "dataset": dataset, "source": source, "measure": measure, "stop_reason": "why", "data_hash": data,
            "seeds": np.array(seeds), "config": config, **attributes,
        },
        status="finished",
        pc_variance=ratio,
        step=step,
        score=score,
        captured_variance=score[:, :, None] ** np.arange(1, K + 1),
        tracked={},
        half_capture=None,
        decoding_step=step[::2] if decoded else np.empty(0, np.int64),
        decoding=dict.fromkeys(decoded, 0.5 + 0.5 * score[::2]),
        reference_decoding={
            variable: {"accuracy": 0.9, "chance": 0.5, "classes": 2, "folds": 5} for variable in decoded
        },
        final_shape=() if shape is None else (len(seeds), *shape),
    )  # fmt: skip
