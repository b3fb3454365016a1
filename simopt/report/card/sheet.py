"""Cards as one printed page, A4: text above, curves of all cards in the same axes below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from simopt import checks
from simopt.analysis.invariances import DRAWS, SIDES
from simopt.errors import InputError
from simopt.report.card import (
    Card,
    cost_setting,
    costs,
    disagreements,
    efforts,
    heading,
    kinds,
    partners,
    remarks,
    sensitivities,
    summarised,
    tried,
    tried_short,
    variables,
)
from simopt.report.panels import draw_decoding, draw_half_capture
from simopt.report.pools import pool
from simopt.report.sensitivity import draw_sensitivity
from simopt.report.style import PAPER, look, plain, save

_A4 = (8.27, 11.69)
_MOST_CARDS, _MOST_LABELS, _MOST_PARTNERS = 4, 2, 4
_TEXT, _SMALL, _MARGIN = 7.0, 6.0, 0.05
_LINES, _CHARACTERS = 26, 140
"""Lines of remarks that fit, and characters of a line across the page."""


@mpl.rc_context(PAPER)
def save_sheet(cards: Sequence[Card], path: Path) -> Path:
    """Draw cards on one dataset, side by side, into a PDF of one page, and return its path.

    Raises
    ------
    InputError
        Another suffix, more cards than fit, or the file cannot be written.
    """
    checks.suffix(path, ".pdf")
    if len(cards) > _MOST_CARDS:
        raise InputError(
            f"{len(cards)} cards do not fit on one page; at most {_MOST_CARDS} do, --html takes more."
        )
    figure = Figure(figsize=_A4, layout="constrained")
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(_MARGIN, _MARGIN, 1 - 2 * _MARGIN, 1 - 2 * _MARGIN))
    figure.suptitle(plain(heading(cards)), fontsize=11, x=_MARGIN, y=1 - _MARGIN / 2, ha="left")
    lines = _remarks(cards)
    heights = [1.7, 1.75, 2.6, 2.4, 0.3 + 0.1 * len(lines)]
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    head, tried_part, curves, joints, foot = (figure.add_subfigure(grid[row]) for row in range(len(heights)))
    _about(head, cards)
    _facts_tried(tried_part, cards)
    _curves(curves, cards)
    _joints(joints, cards)
    _write(_empty(foot), 0, 1, "\n".join(lines), _SMALL)
    return save(figure, path)


def _about(part: SubFigure, cards: Sequence[Card]) -> None:
    ax = _empty(part)
    width = 0.93 / len(cards)
    told = [dict(card.about()) for card in cards]
    y, step = 0.95, 0.085
    for index, card in enumerate(cards):
        ax.text(
            0.07 + width * index, y, plain(card.measure), fontsize=9, weight="bold", va="top",
            color=look(index)["color"],
        )  # fmt: skip
    y -= 1.7 * step
    for key in told[0]:
        wrapped = [
            textwrap.wrap(each[key], int(_CHARACTERS * width) - 2, max_lines=3, placeholder=" ...") or [""]
            for each in told
        ]
        _write(ax, 0, y, key, _TEXT, color="#555555")
        for index, value in enumerate(wrapped):
            _write(ax, 0.07 + width * index, y, "\n".join(value), _TEXT)
        y -= step * max(map(len, wrapped))


def _facts_tried(part: SubFigure, cards: Sequence[Card]) -> None:
    left, right = part.subplots(1, 2, width_ratios=[2.1, 1])
    heads = ["", *(f"{card.measure}, {side}" for card in cards for side in SIDES)]
    rows = [
        [
            kind.replace("_", " "),
            *(tried_short(tried(card, kind, side)) for card in cards for side in SIDES),
        ]
        for kind in kinds(cards)
    ]
    title = f"What leaves the score as it is: largest change in {DRAWS} draws (! not as declared)"
    _table(left, title, heads, rows)
    names = ["", *(card.measure for card in cards)]
    _table(right, f"Cost: {cost_setting(cards)}", names, [[name, *cells] for name, cells in costs(cards)])


def _table(ax: Axes, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    ax.set_axis_off()
    ax.set_title(plain(title), fontsize=_TEXT, loc="left")
    if not rows:
        _write(ax, 0, 1, "not known, see below", _TEXT)
        return
    cells = [[plain(cell) for cell in row] for row in rows]
    drawn = ax.table(
        cells, colLabels=[plain(head) for head in heads], loc="upper left", cellLoc="left", edges="horizontal"
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(_SMALL)
    for cell in drawn.get_celld().values():
        cell.set_linewidth(0.3)
    drawn.auto_set_column_width(list(range(len(heads))))


def _curves(part: SubFigure, cards: Sequence[Card]) -> None:
    pools = pool([run for run, _ in summarised(cards)])
    order = [card.measure for card in cards]
    looks = {each.label: order.index(each.measure) for each in pools}
    labels = variables(cards)[:_MOST_LABELS]
    axes = part.subplots(1, 2 + max(1, len(labels)))
    found = sensitivities(cards)
    if found:
        places = {
            curve.measure: index
            for index, card in enumerate(cards)
            if card.sensitivity is not None
            for curve in card.sensitivity.curves
        }
        label = "explained variance ratio"
        for each in found:
            ratio = each.variance_ratio
            draw_sensitivity(axes[0], each.curves, ratio, 0, xlabel=label, log=True, looks=places)
        axes[0].set_title("score after one PC is replaced")
    else:
        _missing(axes[0], "sensitivity", cards)
    if pools:
        draw_half_capture(axes[1], pools, looks)
        axes[1].set_title("half capture of PCs")
    else:
        _missing(axes[1], "run", cards)
    for ax, label in zip(axes[2:], labels, strict=False):
        draw_decoding(ax, pools, label, looks)
        ax.set_title("decoding; a dot: good score")
    if not labels:
        _missing(axes[2], "decoding" if pools else "run", cards)
    handles = [Line2D([], [], **look(index), label=plain(card.measure)) for index, card in enumerate(cards)]
    part.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _joints(part: SubFigure, cards: Sequence[Card]) -> None:
    names = partners(cards)[:_MOST_PARTNERS]
    axes = part.subplots(1, max(len(names), 1), squeeze=False)[0]
    if not names:
        _missing(axes[0], "joint", cards)
        return
    for ax, name in zip(axes, names, strict=True):
        for index, card in enumerate(cards):
            for joint in card.joints:
                if joint.partner == name:
                    color, style = look(index)["color"], look(index)["linestyle"]
                    ax.fill(*joint.outline.T, color=color, alpha=0.18, linewidth=0)
                    ax.plot(*joint.outline.T, linestyle=style, color=color, linewidth=0.8)
                    if joint.verdict != "exact":
                        for limit in (joint.lower, joint.upper):
                            ax.plot(*limit.T, ":", color=color, linewidth=0.9)
        ax.set(xlabel=plain(name), ylabel="score" if len(cards) > 1 else plain(cards[0].measure))
    part.suptitle("scores found together (dotted: proved bounds)", fontsize=_TEXT)


def _missing(ax: Axes, part: str, cards: Sequence[Card]) -> None:
    ax.set_axis_off()
    reasons = dict.fromkeys(
        reason for card in cards for key, reason in card.missing.items() if key.startswith(part)
    )
    told = "; ".join(reasons) or "there is none"
    _write(ax, 0, 0.9, "\n".join(textwrap.wrap(f"no {part}: {told}", 42)), _SMALL)


def _remarks(cards: Sequence[Card]) -> list[str]:
    told = [f"! {line}" for line in disagreements(cards)]
    told += [f"{card.measure} with {name}: {card.joint_sentence(name)}." for name in partners(cards)
             for card in cards if any(joint.partner == name for joint in card.joints)]  # fmt: skip
    effort = efforts(cards)
    told += [f"Joint ranges are what was found, by {effort}."] if effort else []
    goods = [f"{card.measure}: {name} {card.good_score(name)}" for name in variables(cards) for card in cards
             if card.run is not None]  # fmt: skip
    told += [f"Good scores: {'; '.join(goods)}."] if goods else []
    told += remarks(cards)
    lines = [part for line in told for part in textwrap.wrap(line, _CHARACTERS + 20)]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "..."]


def _empty(part: SubFigure) -> Axes:
    ax: Axes = part.subplots()
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    return ax


def _write(ax: Axes, x: float, y: float, text: str, size: float, color: str = "black") -> None:
    ax.text(x, y, plain(text), fontsize=size, va="top", color=color, transform=ax.transAxes)
