"""Which principal components, samples or units a score depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simopt import checks, measures
from simopt.analysis import attribution
from simopt.analysis.attribution import Attribution, named
from simopt.datasets import Dataset
from simopt.measures import Measure
from simopt.rows import Order, condition_of
from simopt.sides import aligned
from simopt.store import shelf
from simopt.store.image import Stored
from simopt.typing import LabelArray
from simopt.workflows.data import Data, DataLike, paired, structured, told_rows
from simopt.workflows.request import (
    OnProgress,
    Request,
    ShouldStop,
    measure_node,
    name_of,
    never,
    quiet,
    steps,
)
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.run_request import LEFT_OUT

PARTS = (*LEFT_OUT, "x-units")


@dataclass(frozen=True, kw_only=True)
class AttributeRequest(Request["AttributeResult"]):
    """The request of an attribution: how the score of Y changes when PCs, samples or units are left out.

    Attributes
    ----------
    Y : Data
        The data to score.
    measure : dict
        The configuration node of the measure: a dict with ``_target_`` and options.
    by : {"pcs", "samples", "units", "x-units"}
        What to leave out, one at a time: PCs of X, samples, units of Y, or units of X.
    """

    kind: ClassVar[str] = "attribution"

    Y: Any
    measure: Any = "cka"
    by: str = "pcs"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("Y", Data.of(self.Y, "Y"))
        self._set("measure", measure_node(self.measure))
        checks.one_of(self.by, PARTS, "part to leave out")

    @property
    def function(self) -> str:
        """The name of the function of :mod:`simopt.analysis.attribution` that computes the changes."""
        return LEFT_OUT["units" if self.by == "x-units" else self.by]

    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes the changes."""
        return [f"simopt.analysis.attribution.{self.function}", str(self.measure["_target_"])]

    def read(self, path: Path) -> AttributeResult:
        """Return the attribution that a file stores."""
        return AttributeResult.load(path)


@dataclass(frozen=True, kw_only=True, repr=False)
class AttributeResult(Result, Attribution):
    """The changes of a score when PCs, samples or units are left out, one at a time.

    Attributes
    ----------
    name : str
        The name of Y.
    dataset, source : str
        The name of the recording, and its source: ``real`` or ``surrogate``.
    about : dict of list
        For ``by="samples"``, the labels of each sample, condition or group. Otherwise empty.
    """

    kind: ClassVar[str] = "attribution"

    name: str
    dataset: str
    source: str
    about: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The names of Y, the recording and the measure, and the score, in one line."""
        return f"{self.name} against {self.dataset} ({self.source}): {self.measure} {self.score:.6f}"

    def caveats(self) -> list[str]:
        """Return why the changes were not computed in the usual way; empty if they were."""
        return [self.reason] if self.reason else []

    def values(self) -> Mapping[str, Any]:
        """Return the fields, and the parts that were left out in the order of the size of their changes."""
        fields = {key: value for key, value in vars(self).items() if key not in ("name", "path", "how")}
        return {**fields, "ranking": self.ranking()}

    def table(self) -> Rows:
        """Return a row for each PC, sample or unit that was left out, largest change first."""
        first = {} if self.first_order is None else {"first_order": self.first_order}
        changes = {"share": self.share, "change": self.change, **first}
        columns = {**{key: values.tolist() for key, values in changes.items()}, **self.about}
        return [
            {"part": named(self.part, i), **{key: values[i] for key, values in columns.items()}}
            for i in self.ranking().tolist()
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the change for each PC, sample or unit that was left out, and return the axes."""
        from simopt.report.attribution import draw_attribution

        return draw_attribution(self, ax, self.title)


def carry_out(
    request: AttributeRequest, observe: OnProgress = quiet, *, should_stop: ShouldStop = never
) -> AttributeResult:
    """Return the stored attribution, or compute and store it.

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.
    InterruptedRunError
        ``should_stop`` returned True; nothing is kept.
    StorageError
        The result cannot be stored.
    """

    def make() -> Callable[[Stored | None], AttributeResult]:
        X, Y = paired(request.dataset, request.Y)
        measure = measures.build(request.measure)
        leave_out: Callable[..., Attribution] = getattr(attribution, request.function)
        options: dict[str, Any] = {"side": "X"} if request.by == "x-units" else {}
        options["observe"] = steps(measure.name, observe, should_stop)
        options["rows"] = told_rows(X, Y)

        def work(before: Stored | None) -> AttributeResult:
            result = AttributeResult.of(
                leave_out(X.responses, Y.responses, measure, **options),
                name=request.Y.shown,
                dataset=X.name,
                source=X.source,
                about=about_samples(X, options["rows"].groups) if request.by == "samples" else {},
                path=request.path,
            )
            request.write(result.content())
            return result

        return work

    result, how = shelf.find_or_make(request, make)
    # A stored result may have been made under other names of the same measure and the same Y.
    return replace(result, how=how, path=request.path, name=request.Y.shown, measure=name_of(request.measure))


def about_samples(dataset: Dataset, groups: LabelArray | None) -> dict[str, list[Any]]:
    """Return the labels of each sample, condition or group that is left out.

    A label that varies within a group does not describe the group, and is left out.
    """
    conditions = dataset.responses.shape[-2]
    times = len(dataset.samples()) // conditions
    if groups is None:
        groups = condition_of(times * conditions, conditions)
    first = np.unique(groups, return_index=True)[1]
    columns = {name: np.tile(values, times) for name, values in dataset.labels.items()}
    constant = [name for name, values in columns.items() if (values[first][groups] == values).all()]
    return {name: columns[name][first].tolist() for name in constant}


def attribute(
    X: DataLike,
    Y: DataLike,
    measure: str | Measure = "cka",
    *,
    by: str = "pcs",
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> AttributeResult:
    """Return how the score of Y against X changes when each PC, sample or unit is left out.

    The change of part i is score(data without i) - score(all data). Linear measures have closed forms; for
    other measures the score is recomputed without each part. The command is ``simopt attribute``.

    Parameters
    ----------
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit).
    Y : array, tensor or Dataset
        The data to score: the samples of X in the same order, with any number of units.
    measure : str or Measure
        A name of ``simopt.measures.names()`` or a Measure.
    by : {"pcs", "samples", "units", "x-units"}
        What to leave out, one at a time: PCs of X, samples, units of Y, or units of X. Groups of samples and
        conditions are left out whole.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. An attribution that it holds is read; otherwise it is computed and
        stored. None: nothing is stored.
    force : bool
        Whether to compute the result again although it is stored.
    **options
        Options that override the defaults of the measure, for instance ``form="angular"``.

    Returns
    -------
    AttributeResult

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.
    StorageError
        The result cannot be stored.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 4)) * [8, 4, 2, 1]
    >>> result = simopt.attribute(X, X + rng.standard_normal((50, 4)))
    >>> result.table()[0]["part"]
    'PC 1'
    """
    return carry_out(
        AttributeRequest(
            dataset=structured(X, groups, blocks, rows),
            Y=aligned(X, Y),
            measure=measure_node(measure, **options),
            by=by,
            log=store,
            force=force,
        )
    )
