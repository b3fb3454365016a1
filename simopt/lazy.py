"""torch, loaded when it is first used.

What a measure says of itself needs no torch, and loading torch takes longer than all else that ``simopt
measures`` does. So the modules of measures, and those they are made of, take ``torch`` from here, and
``Tensor`` from torch for type checkers alone. The name is a plain module that copies an attribute of the
real one when it is first asked for it: from then on ``torch.where`` costs what it always does, which imports
within functions, or an object whose class has ``__getattr__``, would not achieve. With
``importlib.util.LazyLoader`` an unfinished torch would stand in ``sys.modules``, where other packages look
whether torch is in use.

A class with a hand-written backward derives from one of torch; :class:`Function` stands in for that. Modules
that import torch the common way work as well, and load it when they are imported.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
else:
    torch = types.ModuleType("torch")

    def _load(name: str) -> Any:
        value = getattr(importlib.import_module("torch"), name)
        setattr(torch, name, value)
        return value

    torch.__getattr__ = _load

__all__ = ["Function", "torch"]


class Function:
    """A function with a gradient written by hand, made a ``torch.autograd.Function`` at its first call.

    Subclasses have the static methods ``forward`` and ``backward`` that torch asks for, and in the line of
    the class ``once_differentiable=True`` to refuse a second derivative, as torch's decorator of that name.

    Attributes
    ----------
    apply : callable
        Calls it; after the first time this is the ``apply`` that torch made.
    """

    forward: ClassVar[Callable[..., Any]]
    backward: ClassVar[Callable[..., Any]]
    apply: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, *, once_differentiable: bool = False) -> None:
        def first(*args: Any) -> Any:
            once = torch.autograd.function.once_differentiable
            members = {
                "__module__": cls.__module__,
                "forward": staticmethod(cls.forward),
                "backward": staticmethod(once(cls.backward) if once_differentiable else cls.backward),
            }
            made: Any = types.new_class(
                cls.__name__, (torch.autograd.Function,), exec_body=lambda body: body.update(members)
            )
            cls.apply = made.apply
            return made.apply(*args)

        cls.apply = first
