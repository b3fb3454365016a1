"""What a workflow is asked with: a frozen request that knows before any work what its result depends on."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import yaml

from simopt import catalogue, checks
from simopt.errors import InputError, InterruptedRunError
from simopt.store import analysis, layout, shelf
from simopt.store.hashes import FileHashes
from simopt.store.image import Stored
from simopt.store.provenance import provenance
from simopt.workflows.data import Data

Content = TypeVar("Content")
OnProgress = Callable[[str, int, int], None]
"""Called as work goes on: with its title, how many of its steps are done, and how many there are."""


def quiet(title: str, done: int, total: int) -> None:
    """Tell nobody."""


def never() -> bool:
    """Return False: nobody asks to stop."""
    return False


def no_influence(default: Any) -> Any:
    """Return a field of a request that changes no result, and so is no part of its identity."""
    return field(default=default, metadata={"identity": False})


def steps(
    title: str, observe: OnProgress, should_stop: Callable[[], bool] = never
) -> Callable[[int, int], None]:
    """Return what is told the steps of one work: it hands them on, and ends a work that cannot be resumed."""

    def step(done: int, total: int) -> None:
        if should_stop():
            raise InterruptedRunError(f"{title}: interrupted; the same command begins again.")
        observe(title, done, total)

    return step


@dataclass(frozen=True, kw_only=True)
class Log:
    """Where results are stored.

    Attributes
    ----------
    dir : str or None
        A folder; None: nothing is stored.
    """

    dir: str | None = no_influence("outputs")

    def __post_init__(self) -> None:
        if self.dir is not None:
            object.__setattr__(self, "dir", str(self.dir))
            if not self.dir:
                raise InputError("log.dir is empty; name a folder, or null to store nothing.")
            checks.expanded(str(self.dir), "log.dir")


@dataclass(frozen=True, kw_only=True)
class Request(ABC, Generic[Content]):
    """What is asked of a workflow: keys and names are checked when it is made, data when they are loaded.

    Attributes
    ----------
    dataset : Data
        The recording X.
    force : bool
        Whether the result is made anew though it is stored.
    log : Log
        Also a mapping of its keys, or the folder alone: None stores nothing.
    """

    kind: ClassVar[str]
    """Names the file, the folder and the command."""
    log_type: ClassVar[type[Log]] = Log

    dataset: Any
    force: bool = no_influence(False)
    log: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._set("dataset", Data.of(self.dataset))
        if not isinstance(self.log, Log):
            given = self.log if isinstance(self.log, Mapping) else {"dir": self.log}
            self._set("log", self.log_type(**given))
        checks.flag(self.force, "force")

    def _set(self, name: str, value: Any) -> None:
        """Give a field the value that stands for what was handed in."""
        object.__setattr__(self, name, value)

    @abstractmethod
    def revises(self) -> list[str]:
        """Return the dotted names of what computes the numbers of the result."""

    @abstractmethod
    def read(self, path: Path) -> Content:
        """Return the finished result that a file holds.

        Raises
        ------
        StorageError
            It holds none.
        """

    def unfinished(self, path: Path) -> Stored | None:
        """Return what the file holds where the result is to be resumed from it."""
        return None

    def write(self, content: Stored, status: str = layout.FINISHED) -> None:
        """Write the file of the result, with what it is of and comes from; nothing where nothing is stored.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        if self.path is not None:
            stored = replace(content, attributes={**self.about(), **content.attributes})
            analysis.write(self.path, self.kind, stored, status)

    def check(self) -> None:
        """Build all that needs no data, and refuse what cannot be used.

        Raises
        ------
        InputError
            An option out of its range, or a name that leads nowhere.
        """
        if self.dataset.given is None:
            _ = self.dataset.loader

    @property
    def folder(self) -> str:
        """The name of the folder of results of this kind, below that of the dataset."""
        return self.kind

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What changes the result, as plain values.

        Fields at null, false or empty do not enter: a key that is added later with such a default leaves
        the ids of stored results as they are.
        """
        hashes = FileHashes(None if self.log.dir is None else Path(self.log.dir).expanduser())
        found: dict[str, Any] = {"kind": self.kind, **_identity(self, hashes)}
        raised = {name: number for name, number in self._revisions().items() if number != 1}
        return {**found, "revisions": raised} if raised else found

    def _revisions(self) -> dict[str, int]:
        return {name: catalogue.revision(name) for name in self.revises()}

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the identity, in hexadecimal."""
        return shelf.digest(self.identity)

    @cached_property
    def path(self) -> Path | None:
        """The file of the result; None where nothing is stored."""
        if self.log.dir is None:
            return None
        nameless = next((name for name in self.revises() if "<" in name), None)
        if nameless is not None:
            raise InputError(
                f"{nameless} has no name by which its results could be found again; define it in a module, "
                "or store nothing."
            )
        data: Data = self.dataset
        name = f"{self.kind}.h5"
        return shelf.place(self.log.dir, data.name, self.folder, data.origin, self.digest, name)

    def config(self) -> dict[str, Any]:
        """Return the request as a configuration: plain values by key."""
        found: dict[str, Any] = _config(self)
        return found

    def about(self) -> dict[str, Any]:
        """Return the attributes of every stored result: what it is of, how and by what it was made."""
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


def stored_alike(
    request: Request[Any], subject: Callable[[Mapping[str, Any]], Any]
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the finished files of the same kind of result on the same subject, and their attributes.

    Parameters
    ----------
    request : Request
    subject : callable
        Takes from an identity what has to agree, as plain values: names alone do not say what a result is of.
    """
    if request.path is None:
        return
    wanted = json.dumps(subject(request.identity), sort_keys=True)
    for path in sorted(request.path.parent.parent.glob(f"*/{request.path.name}")):
        about = shelf.if_whole(analysis.attributes, path) or {}
        identity = shelf.parsed(about.get("identity"))
        if about.get("status") == layout.FINISHED and json.dumps(subject(identity), sort_keys=True) == wanted:
            yield path, about


def _identity(node: Any, hashes: FileHashes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(node):
        value = getattr(node, each.name)
        if each.metadata.get("identity", True) and catalogue.is_set(plain := _entering(value, hashes)):
            found[each.name] = plain
    return found


def _entering(value: Any, hashes: FileHashes) -> Any:
    if isinstance(value, Data):
        return value.identity(hashes)
    if is_dataclass(value):
        return _identity(value, hashes)
    if isinstance(value, Mapping):
        if "_target_" in value:
            return catalogue.identity(value)
        return {str(key): _entering(each, hashes) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_entering(each, hashes) for each in value]
    return checks.as_identity(value)


def _config(value: Any) -> Any:
    value = _of_numpy(value)
    if isinstance(value, Data):
        return dict(value.node) if value.given is None else {"name": value.name}
    if is_dataclass(value):
        return {each.name: _config(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _config(each) for key, each in value.items() if key != "_object_"}
    return [_config(each) for each in value] if isinstance(value, list | tuple) else value


def _of_numpy(value: Any) -> Any:
    """Return numbers and arrays of numpy as JSON and YAML take them."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def measure_node(given: Any, **options: Any) -> dict[str, Any]:
    """Return the node of a measure: of its name, of a node, or of a measure that a caller holds.

    Raises
    ------
    InputError
        An unknown name or option, or options over a measure whose own are fixed.
    """
    if isinstance(given, str | Mapping):
        node = catalogue.node("measure", given, **options)
    elif not all(hasattr(given, name) for name in ("bind", "facts", "name")):
        raise InputError(f"measure is {given!r}; give a name of simopt.measures.names(), or a measure.")
    elif options:
        raise InputError(
            f"{given.name} is a measure with its options fixed; give {', '.join(options)} to measures.get."
        )
    else:
        node = _of_object(given)
    checks.folder_name(name_of(node), "measure name")
    return node


def name_of(node: Mapping[str, Any]) -> str:
    """Return the name of a measure's node: of a function of the user's own that has none, the function's."""
    name = node.get("name", "function")
    return str(node["_target_"]).rpartition(".")[2] if name == "function" else str(name)


def measure_nodes(given: Any, **options: Any) -> tuple[dict[str, Any], ...]:
    """Return the nodes of one measure or several, with options over those of each.

    Raises
    ------
    InputError
        As :func:`measure_node`, or two have one name.
    """
    chosen = given if isinstance(given, list | tuple) else [given]
    nodes = tuple(measure_node(each, **options) for each in chosen)
    distinct_names(nodes)
    return nodes


def as_listed(node: Mapping[str, Any]) -> bool:
    """Return whether a measure is as the catalogue has it under its name: what is proved of it then holds."""
    name = name_of(node)
    return catalogue.has("measure", name) and catalogue.identity(node) == catalogue.identity(
        catalogue.read("measure", name)
    )


def _of_object(measure: Any) -> dict[str, Any]:
    options = {each.name: getattr(measure, each.name) for each in fields(measure)}
    function = options.pop("function", None)
    kind = type(measure) if function is None else function
    called = getattr(kind, "__qualname__", f"<{type(kind).__name__}>")
    node = {"_target_": f"{kind.__module__}.{called}", **options, "_object_": measure}
    if function is not None:
        node |= node.pop("options")
    node.pop("aliases", None)
    return node


def distinct_names(nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse measures of which two have one name.

    Raises
    ------
    InputError
        Two have.
    """
    names = [name_of(node) for node in nodes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{', '.join(names)}: the measure {twice} is named twice.")
