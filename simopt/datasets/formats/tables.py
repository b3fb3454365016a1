"""Readers of tables with one row for each sample: csv, tsv and parquet."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets.formats.content import Content, Options, one_array, unknown
from simopt.datasets.preprocess import as_labels
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray


def csv_or_tsv(path: Path, options: Options, stack: ExitStack) -> Content:
    """Read a csv or tsv: the columns in ``options.labels`` are labels, the other columns are units."""
    header, rows = rows_of(path, options.label_names)
    if not rows:
        raise InputError(f"{path}: holds a header but no rows; expected one row for each sample.")
    columns = list(zip(*(row for _, row in rows), strict=True))

    def numbers(column: int) -> FloatArray:
        try:
            # An empty cell is a missing repetition: NaN, which averages leave out.
            return np.array([float(cell or "nan") for cell in columns[column]])
        except ValueError:
            line, cell = next(
                (line, row[column]) for line, row in rows if not _is_number(row[column] or "nan")
            )
        name = header[column] or str(column + 1)
        raise InputError(
            f"{path}: row {line}, column {name} is {cell[:40]!r}, not a number; if the column holds labels, "
            f"set dataset.labels=[{name}]."
        )

    return _content(path, options, header, numbers, lambda column: _typed(columns[column]))


def _content(
    path: Path,
    options: Options,
    header: Sequence[str],
    numbers: Callable[[int], FloatArray],
    values: Callable[[int], Any],
) -> Content:
    """Return the columns of a table as responses and labels.

    Parameters
    ----------
    path : Path
    options : Options
        The columns in ``options.labels`` are labels; every other column is a unit.
    header : sequence of str
        Names of the columns. The name of a column without a name is empty.
    numbers, values : callable
        Map the index of a column to its values: ``numbers`` returns them as numbers, ``values`` as they are.
    """
    one_array(path, options)
    columns = {name: _column(name, header, path) for name in options.label_names}
    units = [numbers(column) for column in range(len(header)) if column not in columns.values()]
    return Content(
        array=np.stack(units, axis=1) if units else np.zeros((0, 0)),
        labels={name: as_labels(values(i), f"{path}: label {name!r}") for name, i in columns.items()},
    )


def rows_of(path: Path, names: Sequence[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a csv or tsv and its rows, each with its line number in the file.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Names of columns. If the first row holds one of these names, the row is the header.

    Returns
    -------
    header : list of str
        Names of the columns. All names are empty if the file has no header.
    rows : list of (int, list of str)
        The line number and the cells of each row below the header.
    """
    # The suffix decides on the delimiter; a file with another one is refused below.
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as handle:  # Excel writes a byte order mark first
        reader = csv.reader(handle, delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    if not rows:
        raise InputError(f"{path}: is empty; expected one row for each sample.")
    first = rows[0][1]
    if len(first) == 1 and any(mark in first[0] for mark in ";\t"):
        raise InputError(
            f"{path}: semicolons or tabs separate the columns of this file; separate those of a .csv by "
            "commas (and write decimals with a point), and those of a .tsv by tabs."
        )
    for line, row in rows:
        if len(row) != len(first):
            raise InputError(f"{path}: row {line} has {len(row)} cells; expected {len(first)} as in row 1.")
    # A header holds no number, or 0, 1, 2, ... as pandas numbers columns. With two columns, 0 and 1 could as
    # well be data.
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
        raise InputError(f"{path}: has no header, so no column {name!r}; add a first row with the names.")
    if name not in header:
        raise unknown(name, [n for n in header if n], "column", path)
    if header.count(name) > 1:
        raise InputError(f"{path}: {header.count(name)} columns are called {name!r}; rename them.")
    return header.index(name)


def text_columns(path: Path) -> dict[str, LabelArray]:
    """Return a dict that maps each name in the first row of a csv or tsv to its column, numbers or text."""
    header, rows = rows_of(path, ())
    if not all(header) or len(set(header)) < len(header):
        raise InputError(f"{path}: row 1 must give each column a different name; it is {header!s:.80}.")
    return {name: _typed([row[column] for _, row in rows]) for column, name in enumerate(header)}


def _typed(cells: Sequence[str]) -> LabelArray:
    array = np.array(cells, dtype=str)
    return array.astype(np.float64) if array.size and all(map(_is_number, cells)) else array


def parquet(path: Path, options: Options, stack: ExitStack) -> Content:
    """Read a parquet: the columns in ``options.labels`` are labels, the other columns are units."""
    columns = parquet_columns(path)

    def numbers(index: int) -> FloatArray:
        name, column = columns[index]
        kind = str(column.type)
        if not kind.startswith(("int", "uint", "float", "double", "halffloat", "bool")):
            raise InputError(
                f"{path}: column {name} holds {kind}, not numbers; if the column holds labels, set "
                f"dataset.labels=[{name}]."
            )
        return np.asarray(column.to_numpy(), dtype=np.float64)

    return _content(
        path, options, [name for name, _ in columns], numbers, lambda i: columns[i][1].to_pylist()
    )


def parquet_columns(path: Path) -> list[tuple[str, Any]]:
    """Return the name and values of each column of a parquet file, except the index that pandas stores."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(f'{path}: parquet needs pyarrow; run pip install "simopt[formats]".') from error
    with parquet.ParquetFile(path) as file:
        # Before reading: a few bytes of run lengths can stand for more entries than fit into memory.
        entries = file.metadata.num_rows * file.metadata.num_columns
        checks.unpacked(8 * entries, path.stat().st_size, f"{path}: a table of {entries} entries")
        table = file.read()
    # pandas lists the columns of its index; a plain range is a dict there, and no column.
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return [item for item in zip(table.column_names, table.columns, strict=True) if item[0] not in index]
