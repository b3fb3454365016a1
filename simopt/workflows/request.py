"""Requests: frozen descriptions of results. The identity of a request is known before any work is done.

The identity is a nested dict of plain values. It holds everything that changes the result; data are
represented by a hash of their content or by the options that generate them. The SHA-256 of the identity names
the folder of the stored result, so a stored result is found without loading data or torch.

A configuration node is a dict with ``_target_``, the dotted name of a class or function, and its options.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import yaml

from simopt import catalogue, checks
from simopt.errors import InputError, InterruptedRunError
from simopt.store import analysis, layout, shelf
from simopt.store.hashes import FileHashes
from simopt.store.image import Stored
from simopt.store.provenance import provenance
from simopt.store.shelf import Stores
from simopt.typing import Node, OnStep
from simopt.workflows.data import Data

Content = TypeVar("Content")
OnProgress = Callable[[str, int, int], None]
"""A function that is called during work with a title, the number of steps done, and that of all steps."""
ShouldStop = Callable[[], bool]
"""A function that is called before each step; if it returns True, the work stops."""


def quiet(title: str, done: int, total: int) -> None:
    """Do nothing; used as the observer of work whose progress is not shown."""


def never() -> bool:
    """Return False, so that the work never stops."""
    return False


def no_influence(default: Any) -> Any:
    """Return a dataclass field that does not change the result, and is left out of its identity."""
    return field(default=default, metadata={"identity": False})


def steps(title: str, observe: OnProgress, should_stop: ShouldStop = never) -> OnStep:
    """Return a function that reports progress after each step, and raises an error if the work must stop.

    Use it for work without checkpoints, which an interruption loses.
    """

    def step(done: int, total: int) -> None:
        if should_stop():
            raise InterruptedRunError(
                f"{title}: interrupted; the same command will start again from the beginning."
            )
        observe(title, done, total)

    return step


@dataclass(frozen=True, kw_only=True)
class Log:
    """The place where results are stored.

    Attributes
    ----------
    dir : str or None
        The folder of stored results. None: nothing is stored.
    """

    dir: str | None = no_influence("outputs")

    def __post_init__(self) -> None:
        if self.dir is not None:
            object.__setattr__(self, "dir", str(self.dir))
            if not self.dir:
                raise InputError("log.dir is empty; give a folder, or null to store nothing.")
            checks.expanded(str(self.dir), "log.dir")


@dataclass(frozen=True, kw_only=True)
class Request(Stores[Content]):
    """The base class of all requests.

    Names and options are checked when a request is made, and data when they are loaded.

    Attributes
    ----------
    dataset : Data
        The recording X.
    force : bool
        Whether to compute the result again although it is stored.
    log : Log
        Where the result is stored. A mapping with the fields of Log is accepted as well, and so is the folder
        alone. None: nothing is stored.
    """

    kind: ClassVar[str]
    """The kind of result, which names its file and its folder."""
    log_type: ClassVar[type[Log]] = Log

    dataset: Any
    force: bool = no_influence(False)
    log: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._set("dataset", Data.of(self.dataset))
        if not isinstance(self.log, Log | Mapping | str | Path | None):
            raise InputError(f"store is {self.log!r}; give a folder as text or pathlib.Path, or None.")
        if not isinstance(self.log, Log):
            options = self.log if isinstance(self.log, Mapping) else {"dir": self.log}
            for key in options:
                checks.one_of(key, [known.name for known in fields(self.log_type)], "key of log")
            self._set("log", self.log_type(**options))
        checks.flag(self.force, "force")

    def _set(self, name: str, value: Any) -> None:
        """Set a field of the frozen dataclass, in ``__post_init__`` only."""
        object.__setattr__(self, name, value)

    @abstractmethod
    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes the numbers of the result, the workflow first.

        If the revision of a name (:func:`simopt.catalogue.revision`) is raised, the identity changes, so that
        results of the former code are no longer found.
        """

    def unfinished(self, path: Path) -> Stored | None:
        """Return the content of an unfinished file if it has a checkpoint to resume from, otherwise None."""
        return analysis.unfinished(path, self.kind)

    def write(self, content: Stored, status: str = layout.FINISHED) -> None:
        """Write the file of the result with the attributes of :meth:`about`; do nothing if nothing is stored.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        if self.path is not None:
            stored = replace(content, attributes={**self.about(), **content.attributes})
            analysis.write(self.path, self.kind, stored, status)

    def check(self) -> None:
        """Check all options by building everything that needs no data.

        Raises
        ------
        InputError
            An option is out of its range, or a name cannot be found.
        """
        if self.dataset.given is None:
            _ = self.dataset.loader

    @property
    def folder(self) -> str:
        """The name of the folder of this kind of result, inside the folder of the dataset."""
        return self.kind

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that changes the result, as plain values.

        Fields that are None, False or empty are left out. Therefore a later version can add a field with such
        a default, and the ids of stored results stay the same.
        """
        hashes = FileHashes(None if self.log.dir is None else Path(self.log.dir).expanduser())
        identity: dict[str, Any] = {"kind": self.kind, **_identity(self, hashes)}
        # Revision 1 is left out for the same reason: code that gets a revision keeps its stored results.
        raised = {name: number for name, number in self._revisions().items() if number != 1}
        return {**identity, "revisions": raised} if raised else identity

    def _revisions(self) -> dict[str, int]:
        return {name: catalogue.revision(name) for name in self.revises()}

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the identity, in hexadecimal."""
        return shelf.digest(self.identity)

    @cached_property
    def path(self) -> Path | None:
        """The file of the result; None if nothing is stored."""
        if self.log.dir is None:
            return None
        # "<lambda>" or "f.<locals>.g": the name does not identify the code.
        nameless = next((name for name in self.revises() if "<" in name), None)
        if nameless is not None:
            raise InputError(
                f"{nameless} has no name by which its stored results can be found; define the function "
                "at the top of a module, or store nothing (store=None, log.dir=null)."
            )
        data: Data = self.dataset
        name = f"{self.kind}.h5"
        return shelf.place(self.log.dir, data.name, self.folder, data.origin, self.digest, name)

    def config(self) -> dict[str, Any]:
        """Return the request as a configuration: a dict of plain values."""
        config: dict[str, Any] = _config(self)
        return config

    def about(self) -> dict[str, Any]:
        """Return the attributes of the stored file: dataset, configuration, identity, and provenance."""
        return {
            "dataset": self.dataset.name,
            "source": self.dataset.origin,
            "config": yaml.safe_dump(self.config(), sort_keys=False, allow_unicode=True),
            "config_hash": self.digest,
            "identity": json.dumps(self.identity),
            "revisions": json.dumps(self._revisions()),
            "data_hash": self.dataset.dataset.data_hash(),
            **provenance(),
        }


def stored_alike(request: Request[Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield path and attributes of every finished file that is comparable to the result of a request.

    Comparable files hold the same kind of result, on the same recording, with the same measures in any order,
    from the same revision of the code. Files are opened to check this, because different data or measures can
    have the same name.
    """
    if request.path is None:
        return
    code = request.revises()[0]
    wanted = _subject(request.identity, code)
    for path in sorted(request.path.parent.parent.glob(f"*/{request.path.name}")):
        attributes = shelf.if_whole(analysis.attributes, path) or {}
        same = _subject(shelf.parsed(attributes.get("identity")), code) == wanted
        if same and attributes.get("status") == layout.FINISHED:
            yield path, attributes


def _subject(identity: Mapping[str, Any], code: str) -> list[Any]:
    """Return what the identities of comparable results have in common."""
    measures = [identity.get("measure"), *identity.get("measures", ())]
    # As JSON text, because that turned tuples into lists in the stored identity.
    texts = [json.dumps(node, sort_keys=True) for node in (identity.get("dataset"), *measures)]
    return [texts[0], sorted(texts[1:]), identity.get("revisions", {}).get(code)]


def _identity(node: Any, hashes: FileHashes) -> dict[str, Any]:
    """Return the fields of a dataclass that enter an identity, as plain values."""
    identity: dict[str, Any] = {}
    for field_ in fields(node):
        value = getattr(node, field_.name)
        if field_.metadata.get("identity", True) and catalogue.is_set(plain := _plain(value, hashes)):
            identity[field_.name] = plain
    return identity


def _plain(value: Any, hashes: FileHashes) -> Any:
    """Return one value of a request as an identity holds it."""
    if isinstance(value, Data):
        return value.identity(hashes)
    if is_dataclass(value):
        return _identity(value, hashes)
    if isinstance(value, Mapping):
        if "_target_" in value:
            return catalogue.identity(value)
        return {str(key): _plain(item, hashes) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, hashes) for item in value]
    return checks.as_identity(value)


def _config(value: Any) -> Any:
    """Return a value of a request as JSON and YAML hold it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Data):
        return dict(value.node) if value.given is None else {"name": value.name}
    if is_dataclass(value):
        return {field_.name: _config(getattr(value, field_.name)) for field_ in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _config(item) for key, item in value.items() if key != "_object_"}
    return [_config(item) for item in value] if isinstance(value, list | tuple) else value


def measure_node(measure: Any, **options: Any) -> dict[str, Any]:
    """Return the configuration node of a measure: a dict with ``_target_`` and options.

    Parameters
    ----------
    measure : str, mapping or Measure
        A name of the catalogue, a configuration node, or a Measure.
    **options
        Options that override those of the name or node. A Measure takes none.

    Raises
    ------
    InputError
        A name or an option is unknown, or options are given for a Measure.
    """
    if isinstance(measure, str | Mapping):
        node = catalogue.node("measure", measure, **options)
    elif not all(hasattr(measure, name) for name in ("bind", "facts", "name")):
        raise InputError(f"measure is {measure!r}; give a name of simopt.measures.names(), or a Measure.")
    elif options:
        raise InputError(
            f"The options of the Measure {measure.name} are fixed; give {', '.join(options)} to measures.get."
        )
    else:
        node = _of_object(measure)
    checks.folder_name(name_of(node), "measure name")
    return node


def name_of(node: Node) -> str:
    """Return the name in the configuration node of a measure, or else the name of its function."""
    name = node.get("name", "function")
    return str(node["_target_"]).rpartition(".")[2] if name == "function" else str(name)


def measure_nodes(measures: Any, **options: Any) -> tuple[dict[str, Any], ...]:
    """Return the configuration nodes of one measure or several; an option goes to all that have it.

    Raises
    ------
    InputError
        Two measures have the same name, no measure has an option, or :func:`measure_node` refuses one.
    """
    listed = measures if isinstance(measures, list | tuple) else [measures]
    if len(listed) > 1 and options:
        listed = [measure_node(measure) for measure in listed]
        of_each = catalogue.shared("measure", listed, options)
    else:
        of_each = [options] * len(listed)
    nodes = tuple(measure_node(measure, **taken) for measure, taken in zip(listed, of_each, strict=True))
    names = [name_of(node) for node in nodes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"{', '.join(names)}: the measure {twice} is named twice; name each measure once, or give one "
            f"another name: measure=NAME:{twice} (name=NAME in measures.get)."
        )
    return nodes


def as_listed(node: Node) -> bool:
    """Return whether a measure is in the catalogue and has the options that the catalogue lists for it.

    Closed forms and bounds are proved for these options only.
    """
    name = name_of(node)
    return catalogue.has("measure", name) and catalogue.identity(node) == catalogue.identity(
        catalogue.read("measure", name)
    )


def _of_object(measure: Any) -> dict[str, Any]:
    """Return the node of a Measure: the name of its code, its options, and the Measure itself."""
    options = {field_.name: getattr(measure, field_.name) for field_ in fields(measure)}
    function = options.pop("function", None)
    code = type(measure) if function is None else function
    name = getattr(code, "__qualname__", f"<{type(code).__name__}>")
    node = {"_target_": f"{code.__module__}.{name}", **options, "_object_": measure}
    if function is not None:
        node |= node.pop("options")
    node.pop("aliases", None)
    return node
