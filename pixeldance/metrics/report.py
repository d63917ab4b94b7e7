"""A report that people look at: one HTML file with tables, curves and clips that play, which opens offline.

Nothing is linked: styles, curves (SVG) and clips (animated WebP) are in the file, and there is no script. It follows
the reader's choice of a light or a dark page. One model, or two side by side.
"""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pixeldance import __version__
from pixeldance.metrics.meter import READINGS
from pixeldance.metrics.score import Score
from pixeldance.video import write_video

Video = UInt8[np.ndarray, "f h w 3"]
Interval = tuple[float, float]

MARKS = ("a", "b", "c", "d", "e")  # the colours of curves, in the style below
STYLE = """
:root { color-scheme: light dark; --paper: #fbfbf9; --ink: #202226; --pale: #62666e; --edge: #d8d8d2;
  --a: #1565c0; --b: #c2410c; --c: #2e7d32; --d: #8e24aa; --e: #5f6368; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181b; --ink: #e8e8e4; --pale: #a0a4ac; --edge: #3a3c42;
  --a: #7fb4f5; --b: #f5a272; --c: #81c784; --d: #ce93d8; --e: #a0a4ac; --bad: #ff8a80; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 70rem;
  margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; border-bottom: 1px solid var(--edge); }
p, figcaption, td.note, li { color: var(--pale); } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--edge); vertical-align: top; }
td.number { white-space: nowrap; } td.missing { color: var(--pale); font-style: italic; } code { font-size: .85em; }
.fault { color: var(--bad); } .row { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: .5rem 0; } figure img { width: 128px; image-rendering: pixelated; border: 1px solid var(--edge); }
.clip { max-width: 27rem; } .clip .row { gap: .5rem; } figcaption { font-size: .85rem; }
svg { width: 21rem; max-width: 100%; height: auto; } svg text { fill: var(--pale); font: 11px system-ui, sans-serif; }
svg .axis { stroke: var(--edge); } svg polyline { fill: none; stroke: var(--mark); stroke-width: 2; }
svg polygon { fill: var(--mark); opacity: .15; }
.names span { color: var(--mark); margin-right: .8rem; display: inline-block; }
.a { --mark: var(--a); } .b { --mark: var(--b); } .c { --mark: var(--c); }
.d { --mark: var(--d); } .e { --mark: var(--e); }
td.setting { min-width: 14rem; font-size: .85rem; } .plot { max-width: 21rem; }
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number of a model without more to it than an interval; None where it could not be had."""

    name: str
    says: str
    value: float | None
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a plot: `y` at each `x`, with an interval around it where there is one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    intervals: Sequence[Interval] | None = None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Curves that share their axes."""

    title: str
    across: str
    up: str
    curves: Sequence[Curve]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Clips that belong together, each with a name: what was asked for and what came of it. note: in words; fault:
    what the meter found."""

    text: str
    clips: Sequence[tuple[str, Video]]
    note: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that a report says of one model. about: settings that hold for all of it, by name."""

    name: str
    about: dict[str, str]
    figures: Sequence[Figure]
    scores: Sequence[Score]
    plots: Sequence[Plot]
    samples: Sequence[Shown]
    failures: Sequence[Shown]


def page(models: Sequence[Measured], *, title: str, fps: float) -> str:
    """The report of one model or two as HTML. Raises ValueError for other numbers of them."""
    if not 1 <= len(models) <= 2:
        raise ValueError(f"got {len(models)} models; wanted one, or two to lay side by side")
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>pixeldance {__version__}. Brackets are 95 % intervals: by resampling, and of shares by Wilson's formula. "
        "<em>Real</em> is what real clips get with the same settings: for distances, against other real ones; the best "
        "that can be hoped for.</p>",
        _about(models),
        "<h2>Following what was asked</h2>",
        _figures(models),
        "<h2>Likeness to real clips</h2>",
        _scores(models),
        "<h2>Curves</h2>",
        _row([_plot(plot) for plot in _joined(models)]),
    ]
    for heading, shown in (("Samples", "samples"), ("Failures, as the director's meter finds them", "failures")):
        parts.append(f"<h2>{heading}</h2>")
        for model in models:
            clips = [_clips(each, fps) for each in getattr(model, shown)]
            parts.append(f"<h3>{escape(model.name)}</h3>" if len(models) > 1 else "")
            parts.append(_row(clips) if clips else "<p>None was found.</p>")
    limits = "; ".join(f"{name} {reading.limit()}" for name, reading in READINGS.items() if reading.limit())
    parts.append(f"<p>Limits of the meter: {escape(limits)}.</p>")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{escape(title)}</title><style>{STYLE}</style></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    )


def playing(video: Video, fps: float) -> str:
    """A clip as a data URL that an <img> plays, lossless."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.webp"
        write_video(path, video, fps=fps)
        return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()


def _about(models: Sequence[Measured]) -> str:
    names = dict.fromkeys(name for model in models for name in model.about)
    rows = [[escape(name), *(f"<td>{escape(model.about.get(name, ''))}</td>" for model in models)] for name in names]
    return _table(["", *(model.name for model in models)], rows)


def _figures(models: Sequence[Measured]) -> str:
    by_name = [{each.name: each for each in model.figures} for model in models]
    rows = []
    for name in dict.fromkeys(name for figures in by_name for name in figures):
        known = [figures.get(name) for figures in by_name]
        says = next(each.says for each in known if each)
        cells = [_number(each.value, each.interval) if each else _missing("not measured") for each in known]
        rows.append([escape(name), *cells, f'<td class="note">{escape(says)}</td>'])
    return _table(["", *(model.name for model in models), ""], rows)


def _scores(models: Sequence[Measured]) -> str:
    """What could be computed as a table, and below it what could not, by its reason."""
    by_name = [{each.name: each for each in model.scores} for model in models]
    rows, lacking = [], dict[str, list[str]]()
    for name in dict.fromkeys(name for scores in by_name for name in scores):
        known = [scores.get(name) for scores in by_name]
        reasons = {score.because for score in known if score is not None and score.value is None}
        if len(reasons) == 1 and not any(score is not None and score.value is not None for score in known):
            lacking.setdefault(str(*reasons), []).append(name)
            continue
        cells, real, setting = [], "", ""
        for score in known:
            if score is None or score.value is None:
                cells.append(_missing(f"not computed, because {score.because}" if score else "not measured"))
                continue
            cells.append(_number(score.value, score.interval))
            real, setting = ("" if score.floor is None else f"{score.floor:.4g}"), _setting(score)
        cells += [f'<td class="number">{real}</td>', f'<td class="note setting">{setting}</td>']
        rows.append([escape(name), *cells])
    table = _table(["", *(model.name for model in models), "real", "measured with"], rows)
    told = [f"<li>{escape(', '.join(names))}: {escape(why)}</li>" for why, names in lacking.items()]
    return table + (f"<p>Not computed:</p><ul>{''.join(told)}</ul>" if told else "")


def _setting(score: Score) -> str:
    at = score.setting
    size = "" if at.size is None else f", {at.size[1]} x {at.size[0]}"
    told = f"N = {at.n}, {at.frames} frames at {at.fps:g} a second{size}" if at.fps else f"N = {at.n}{size}"
    told = escape(told + f"; stored: {at.codec}")
    if at.extractor:
        told += f"; extractor <code>{escape(at.extractor[:16])}</code>; resized: {escape(at.resize or 'none')}"
    return told


def _number(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return _missing("of no clip")
    around = "" if interval is None else f" [{interval[0]:.3g}, {interval[1]:.3g}]"
    return f'<td class="number"><strong>{value:.4g}</strong>{around}</td>'


def _missing(why: str) -> str:
    return f'<td class="missing">{escape(why)}</td>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of a heading, as HTML, and cells."""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr><th>{name}</th>{''.join(cells)}</tr>" for name, *cells in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _row(parts: Sequence[str]) -> str:
    return f'<div class="row">{"".join(parts)}</div>'


def _clips(shown: Shown, fps: float) -> str:
    images = []
    for name, video in shown.clips:
        told = escape(name)
        images.append(f'<figure><img src="{playing(video, fps)}" alt="{told}"><figcaption>{told}</figcaption></figure>')
    fault = f'<div class="fault">{escape(shown.fault)}</div>' if shown.fault else ""
    note = f"<figcaption>{escape(shown.note)}</figcaption>" if shown.note else ""
    return f'<div class="clip">{_row(images)}<div>{escape(shown.text)}</div>{fault}{note}</div>'


def _joined(models: Sequence[Measured]) -> list[Plot]:
    """The plots of one model, or those of two with their curves in one plot; what both have (real clips) is once."""
    if len(models) == 1:
        return list(models[0].plots)
    joined = []
    for plots in zip(*(model.plots for model in models), strict=True):
        curves: dict[str, Curve] = {}
        for model, plot in zip(models, plots, strict=True):
            for curve in plot.curves:
                name = curve.name if curve.name == "real" else f"{model.name}: {curve.name}"
                curves.setdefault(name, Curve(name=name, x=curve.x, y=curve.y, intervals=curve.intervals))
        ordered = sorted(curves.values(), key=lambda each: each.name == "real")
        first = plots[0]
        joined.append(Plot(title=first.title, across=first.across, up=first.up, curves=ordered))
    return joined


def _plot(plot: Plot) -> str:
    """Curves as SVG: axes with their ends told, an area for intervals; names below in the colours of the lines."""
    width, height, left, top, low = 340, 196, 56, 12, 176
    ys = [y for curve in plot.curves for y in curve.y]
    ys += [end for curve in plot.curves for each in curve.intervals or () for end in each]
    xs = [x for curve in plot.curves for x in curve.x]
    (x0, x1), (y0, y1) = _span(xs), _span(ys)

    def at(x: float, y: float) -> str:
        across = left + (x - x0) / (x1 - x0) * (width - left - 8)
        return f"{across:.1f},{low - (y - y0) / (y1 - y0) * (low - top):.1f}"

    drawn = [
        f'<path class="axis" fill="none" d="M{left} {top}V{low}H{width - 8}"/>',
        f'<text x="{left - 4}" y="{top + 8}" text-anchor="end">{y1:.3g}</text>',
        f'<text x="{left - 4}" y="{low}" text-anchor="end">{y0:.3g}</text>',
        f'<text x="{left}" y="{low + 14}">{x0:g}</text>',
        f'<text x="{width - 8}" y="{low + 14}" text-anchor="end">{x1:g}</text>',
        f'<text x="{(left + width) / 2}" y="{low + 14}" text-anchor="middle">{escape(plot.across)}</text>',
    ]
    for mark, curve in zip(MARKS * len(plot.curves), plot.curves, strict=False):
        if curve.intervals:
            upper = [at(x, high) for x, (_, high) in zip(curve.x, curve.intervals, strict=True)]
            lower = [at(x, least) for x, (least, _) in zip(curve.x, curve.intervals, strict=True)]
            drawn.append(f'<polygon class="{mark}" points="{" ".join(upper + lower[::-1])}"/>')
        points = " ".join(at(x, y) for x, y in zip(curve.x, curve.y, strict=True))
        drawn.append(f'<polyline class="{mark}" points="{points}"/>')
    marked = zip(MARKS * len(plot.curves), plot.curves, strict=False)
    names = "".join(f'<span class="{mark}">{escape(curve.name)}</span> ' for mark, curve in marked)
    label = escape(f"{plot.title}: {plot.up} over {plot.across}")
    svg = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(drawn)}</svg>'
    told = f'{escape(plot.title)}, {escape(plot.up)}<div class="names">{names}</div>'
    return f'<figure class="plot">{svg}<figcaption>{told}</figcaption></figure>'


def _span(values: Sequence[float]) -> Interval:
    """The ends of an axis, which are never the same."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
