"""Tables, a row a sample: csv, tsv and parquet."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets.formats.content import Content, Wanted, one_array, unknown
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray


def csv_or_tsv(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Read the numbers of a table of text; columns named as labels are labels."""
    header, rows = rows_of(path, wanted.named)
    if not rows:
        raise InputError(f"{path}: holds a header and no rows.")
    columns = list(zip(*(row for _, row in rows), strict=True))

    def numbers(column: int) -> FloatArray:
        try:
            return np.array([float(cell or "nan") for cell in columns[column]])
        except ValueError:
            line, cell = next(
                (line, row[column]) for line, row in rows if not _is_number(row[column] or "nan")
            )
        name = header[column] or str(column + 1)
        raise InputError(
            f"{path}: row {line}, column {name} is {cell[:40]!r}, not a number; a column of labels is named: "
            f"dataset.labels=[{name}]."
        )

    return _content(path, wanted, header, numbers, lambda column: _typed(columns[column]))


def _content(
    path: Path,
    wanted: Wanted,
    header: Sequence[str],
    numbers: Callable[[int], FloatArray],
    values: Callable[[int], Any],
) -> Content:
    """Return the columns named as labels, by ``values`` of their indices, and the others as an array."""
    one_array(path, wanted)
    where = {name: _column(name, header, path) for name in wanted.named}
    kept = [numbers(column) for column in range(len(header)) if column not in where.values()]
    return Content(
        array=np.stack(kept, axis=1) if kept else np.zeros((0, 0)),
        labels={name: as_labels(values(column), f"{path}: label {name!r}") for name, column in where.items()},
    )


def rows_of(path: Path, names: Sequence[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a table of text (empty names: none) and the rows, with their line numbers."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    if not rows:
        raise InputError(f"{path}: is empty.")
    first = rows[0][1]
    if len(first) == 1 and any(mark in first[0] for mark in ";\t"):
        raise InputError(
            f"{path}: the columns are separated by semicolons or tabs; a .csv has commas (and points in "
            "numbers), a .tsv tabs."
        )
    for line, row in rows:
        if len(row) != len(first):
            raise InputError(f"{path}: row {line} has {len(row)} cells and the first row {len(first)}.")
    numbered = len(first) > 2 and first == [str(i) for i in range(len(first))]
    titled = numbered or set(names) & set(first) or not any(_is_number(cell) for cell in first)
    return (first, rows[1:]) if titled else ([""] * len(first), rows)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(name: str, header: Sequence[str], path: Path) -> int:
    if not any(header):
        raise InputError(f"{path}: the first row holds numbers, no names: there is no column {name!r}.")
    if name not in header:
        raise unknown(name, [n for n in header if n], "column", path)
    if header.count(name) > 1:
        raise InputError(f"{path}: {header.count(name)} columns are called {name!r}; rename them.")
    return header.index(name)


def text_columns(path: Path) -> dict[str, LabelArray]:
    """Return every column of a table of text by the name in its first row."""
    header, rows = rows_of(path, ())
    if not all(header) or len(set(header)) < len(header):
        raise InputError(f"{path}: the first row must name every column of labels, each once.")
    return {name: _typed([row[column] for _, row in rows]) for column, name in enumerate(header)}


def _typed(cells: Sequence[str]) -> LabelArray:
    array = np.array(cells, dtype=str)
    return array.astype(np.float64) if array.size and all(map(_is_number, cells)) else array


def parquet(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Read the numbers of a parquet file; columns named as labels are labels."""
    columns = parquet_columns(path)

    def numbers(place: int) -> FloatArray:
        name, column = columns[place]
        kind = str(column.type)
        if not kind.startswith(("int", "uint", "float", "double", "halffloat", "bool")):
            raise InputError(
                f"{path}: column {name} holds {kind}, not numbers; a column of labels is named: "
                f"dataset.labels=[{name}]."
            )
        return np.asarray(column.to_numpy(), dtype=np.float64)

    return _content(path, wanted, [name for name, _ in columns], numbers, lambda i: columns[i][1].to_pylist())


def parquet_columns(path: Path) -> list[tuple[str, Any]]:
    """Return the columns of a parquet file by name, less an index that pandas stored."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(f'{path}: parquet needs pyarrow: pip install "simopt[formats]".') from error
    with parquet.ParquetFile(path) as file:
        entries = file.metadata.num_rows * file.metadata.num_columns
        checks.unpacked(8 * entries, path.stat().st_size, f"{path}: a table of {entries} entries")
        table = file.read()
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return [item for item in zip(table.column_names, table.columns, strict=True) if item[0] not in index]
