"""Panels side by side, at fixed distances in inches: quick to lay out, and the same on every run."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simopt.report.style import COLUMN, PAGE

_LEFT, _RIGHT, _BOTTOM = 0.55, 0.1, 0.36
_WIDE_LEFT = 0.75
_TICKS, _LABELS = 0.32, 0.48
_NARROW, _CLOSE = 0.2, 0.16
_SMALL, _SMALL_LETTER = 6, 0.046
_NARROWEST = 0.8
_HANDLE, _LETTER, _LINE = 0.48, 0.052, 0.135


class Grid:
    """A figure of panels, a column or a page wide, with one legend below them.

    Parameters
    ----------
    count : int
    columns : int
        At most so many; a page that would be too narrow for them is widened.
    height : float
        Of a panel, in inches.
    apart : bool
        Whether every panel has a title and ticks of its own y axis, or only the outer ones.
    labels : bool
        Whether every panel has axis labels of its own.
    """

    def __init__(
        self, count: int, columns: int, height: float, *, apart: bool = True, labels: bool = False
    ) -> None:
        self.columns = min(columns, count)
        self.rows = -(-count // self.columns)
        self.labels, self.apart, self.height = labels, apart, height
        self.across = (_LABELS if labels else _TICKS) if apart else _NARROW
        self.left = _LEFT if apart else _WIDE_LEFT
        least = self.left + _RIGHT + self.columns * _NARROWEST + (self.columns - 1) * self.across
        self.width = max(COLUMN if self.columns == 1 else PAGE, least)
        self.figure = Figure(figsize=(self.width, self.width))
        self.axes = [self.figure.add_axes((0, 0, 1, 1), label=str(at)) for at in range(count)]

    def finish(self, handles: Mapping[str, Artist]) -> Figure:
        """Place panels and legend, leave labels to the outer panels, and return the figure."""
        longest = max(map(len, handles), default=0)
        columns = max(1, min(len(handles), int(self.width / (_HANDLE + _LETTER * longest))))
        legend = _LINE * -(-len(handles) // columns) + 0.08
        wide = (self.width - self.left - _RIGHT - (self.columns - 1) * self.across) / self.columns
        top = 0.06 + _LINE * max(self._title(ax, wide + self.across - 0.05) for ax in self.axes)
        down = top + _BOTTOM if self.apart else _CLOSE
        high = top + self.rows * self.height + (self.rows - 1) * down + _BOTTOM + legend
        self.figure.set_size_inches(self.width, high)
        for at, ax in enumerate(self.axes):
            row, column = divmod(at, self.columns)
            left = self.left + column * (wide + self.across)
            bottom = high - top - self.height - row * (self.height + down)
            ax.set_position((left / self.width, bottom / high, wide / self.width, self.height / high))
            self._outer(ax, at)
        self.figure.legend(
            list(handles.values()), list(handles), loc="lower center", ncols=columns, borderaxespad=0.3
        )
        return self.figure

    def _title(self, ax: Axes, room: float) -> int:
        """Make a title fit, smaller and in more lines if need be, and return the number of its lines."""
        lines = ax.get_title().split("\n")
        if max(map(len, lines)) * _LETTER > room:
            lines = [part for line in lines for part in wrap(line, int(room / _SMALL_LETTER)) or [""]]
            ax.set_title("\n".join(lines), fontsize=_SMALL)
        return len(lines)

    def _outer(self, ax: Axes, at: int) -> None:
        if self.labels:
            return
        below = at + self.columns
        if below < len(self.axes) and self.axes[below].get_visible():
            ax.set_xlabel("")
        if self.apart and at % self.columns:
            ax.set_ylabel("")
        if not self.apart and not ax.get_ylabel():
            ax.tick_params(labelleft=False)
