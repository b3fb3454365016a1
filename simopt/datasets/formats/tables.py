"""Tables, a row a sample: csv, tsv and parquet."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets.formats.content import Content, Wanted, one_array, unknown
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError
from simopt.typing import LabelArray


def csv_or_tsv(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Read the numbers of a table of text; columns named as labels are labels."""
    one_array(path, wanted)
    names = wanted.named
    header, rows = _rows(path, names)
    where = {name: _column(name, header, path) for name in names}
    kept = [column for column in range(len(header)) if column not in where.values()]
    numbers: list[list[float]] = []
    texts: list[list[str]] = []
    for line, row in rows:
        texts.append([row[column] for column in where.values()])
        try:
            numbers.append([float(row[column] or "nan") for column in kept])
        except ValueError:
            raise InputError(_not_a_number(path, line, row, kept, header)) from None
    if not numbers:
        raise InputError(f"{path}: holds a header and no rows.")
    columns = zip(*texts, strict=True) if names else ()
    return Content(
        array=np.array(numbers, dtype=np.float64),
        labels={
            name: as_labels(_typed(column), f"{path}: label {name!r}")
            for name, column in zip(names, columns, strict=True)
        },
    )


def _rows(path: Path, names: Sequence[str]) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header (empty names where there is none) and the rows, with their line numbers."""
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
    return (first, iter(rows[1:])) if titled else ([""] * len(first), iter(rows))


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


def _not_a_number(path: Path, line: int, row: list[str], kept: list[int], header: list[str]) -> str:
    column = next(column for column in kept if row[column] and not _is_number(row[column]))
    name = header[column] or str(column + 1)
    return (
        f"{path}: row {line}, column {name} is {row[column][:40]!r}, not a number; a column of labels is "
        f"named: dataset.labels=[{name}]."
    )


def text_columns(path: Path) -> dict[str, LabelArray]:
    """Return every column of a table of text by the name in its first row."""
    header, rows = _rows(path, ())
    cells = [row for _, row in rows]
    if not all(header) or len(set(header)) < len(header):
        raise InputError(f"{path}: the first row must name every column of labels, each once.")
    return {name: _typed([row[column] for row in cells]) for column, name in enumerate(header)}


def _typed(cells: Sequence[str]) -> LabelArray:
    array = np.array(cells, dtype=str)
    return array.astype(np.float64) if array.size and all(map(_is_number, cells)) else array


def parquet(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Read the numbers of a parquet file; columns named as labels are labels."""
    one_array(path, wanted)
    names = wanted.named
    columns = parquet_columns(path)
    header = [name for name, _ in columns]
    where = {name: _column(name, header, path) for name in names}
    numbers = []
    for position, (name, column) in enumerate(columns):
        if position in where.values():
            continue
        kind = str(column.type)
        if not kind.startswith(("int", "uint", "float", "double", "halffloat", "bool")):
            raise InputError(
                f"{path}: column {name} holds {kind}, not numbers; a column of labels is named: "
                f"dataset.labels=[{name}]."
            )
        numbers.append(np.asarray(column.to_numpy(), dtype=np.float64))
    return Content(
        array=np.stack(numbers, axis=1) if numbers else np.zeros((len(columns[0][1]) if columns else 0, 0)),
        labels={
            name: as_labels(columns[position][1].to_pylist(), f"{path}: label {name!r}")
            for name, position in where.items()
        },
    )


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
