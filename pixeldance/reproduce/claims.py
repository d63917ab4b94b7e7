"""The claims, each a value: which arms are compared on what, and the threshold, written here before any run.

Sources are sections, tables and figures of arXiv 2311.10982; what it chose without an ablation is a claim as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from pixeldance.reproduce import make, measures
from pixeldance.reproduce.make import Make, shot
from pixeldance.reproduce.measures import Measure

Role = Literal["decides", "knock-out", "shown"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """An arm and how its clips are made."""

    arm: str = "pixeldance"
    make: Make = shot


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`ours` is to measure more than `theirs`, by more than `threshold` (in the measure's unit).

    role: the claim holds where all that decide do. A knock-out swaps or zeroes a condition of a trained arm: where the
    measure does not follow, it is not fit to decide, and the claim is undecided. What is shown decides nothing.
    """

    says: str
    ours: Side = field(default_factory=Side)
    theirs: Side = field(default_factory=Side)
    measure: Measure
    threshold: float = 0.0
    role: Role = "decides"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the paper says, where, and the comparisons that tell."""

    says: str
    source: str
    comparisons: tuple[Comparison, ...]


def _made(**given: Any) -> Side:
    return Side(make=partial(shot, **given))


PLAIN, ENDED = Side(), _made(last=make.last)
OTHER_WAY, OTHER_LAST = _made(text=make.other_way), _made(last=make.anothers_last)
DRAFTED = {tau: _made(last=make.drafted, tau=tau) for tau in (0.5, 1.0)}
AT = {tau: _made(last=make.last, tau=tau) for tau in (0.0, 0.4, 0.7, 1.0)}
TAKE = Side(make=partial(make.take, shots=6))
FOLLOWS_TEXT = Comparison(
    says="the text with the opposite direction turns the motion round",
    ours=PLAIN,
    theirs=OTHER_WAY,
    measure=measures.way,
    threshold=0.2,
    role="knock-out",
)
FOLLOWS_LAST = Comparison(
    says="the last frame of another request leads elsewhere",
    ours=ENDED,
    theirs=OTHER_LAST,
    measure=measures.arrives,
    threshold=0.5,
    role="knock-out",
)


def _on_drafts(says: str, ours: str, theirs: str, role: Role = "shown") -> Comparison:
    draft = DRAFTED[1.0].make
    one, other = Side(arm=ours, make=draft), Side(arm=theirs, make=draft)
    return Comparison(says=says, ours=one, theirs=other, measure=measures.ends_like_real, role=role)


def _without_last(says: str, ours: str, theirs: str, role: Role = "shown") -> Comparison:
    return Comparison(says=says, ours=Side(arm=ours), theirs=Side(arm=theirs), measure=measures.near, role=role)


CLAIMS: Mapping[str, Claim] = {
    "table3-pictures": Claim(
        says="with a first frame, clips show what the text says better than text-to-video's do",
        source="Table 3, rows 1 and 4; first frames are the real ones, for a text-to-image model's",
        comparisons=(
            Comparison(
                says="the colour and the direction that the text names",
                theirs=Side(arm="text-to-video", make=partial(shot, first=make.nothing)),
                measure=measures.told,
                threshold=0.1,
            ),
            FOLLOWS_TEXT,
        ),
    ),
    "table3-text": Claim(
        says="training with texts makes better clips than training without",
        source="Table 3, rows 2 and 4; no last frame",
        comparisons=(
            Comparison(
                says="the thing is nearer to where the real one is, pixels",
                theirs=Side(arm="never-text", make=partial(shot, text=make.no_words)),
                measure=measures.near,
                threshold=0.25,
            ),
            FOLLOWS_TEXT,
        ),
    ),
    "table3-last": Claim(
        says="training with last frames makes better clips than training without, also where none is given",
        source="Table 3, rows 3 and 4; no last frame",
        comparisons=(
            Comparison(
                says="the thing is nearer to where the real one is, pixels",
                theirs=Side(arm="never-last"),
                measure=measures.near,
            ),
            FOLLOWS_LAST,
        ),
    ),
    "figure7": Claim(
        says="a draft followed to tau = 0.5 directs the end, and is not copied",
        source="Figure 7, tau = 25 of 50; sec. 3.3",
        comparisons=(
            Comparison(
                says="with the draft the thing ends nearer to where it is to be, pixels",
                ours=DRAFTED[0.5],
                theirs=PLAIN,
                measure=measures.arrives,
                threshold=0.5,
            ),
            Comparison(
                says="the end resembles the draft less than with tau = 1, dB",
                ours=DRAFTED[1.0],
                theirs=DRAFTED[0.5],
                measure=measures.ends_like_draft,
                threshold=0.5,
            ),
            Comparison(
                says="the end resembles the real one more than with tau = 1, dB",
                ours=DRAFTED[0.5],
                theirs=DRAFTED[1.0],
                measure=measures.ends_like_real,
                role="shown",
            ),
            FOLLOWS_LAST,
        ),
    ),
    "tau": Claim(
        says="the longer the last frame is followed the more it is copied; early steps direct better than late ones",
        source="sec. 3.3",
        comparisons=(
            *(
                Comparison(
                    says=f"tau = {more:g} copies more than {less:g}, dB",
                    ours=AT[more],
                    theirs=AT[less],
                    measure=measures.ends_like_real,
                )
                for less, more in ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0))
            ),
            Comparison(
                says="followed early instead of late, the way is nearer to the real one, pixels",
                ours=_made(last=make.last, tau=0.5),
                theirs=_made(last=make.last, tau=0.5, late=True),
                measure=measures.near,
            ),
            FOLLOWS_LAST,
        ),
    ),
    "noise": Claim(
        says="noise in the condition, that of DDPM's step 100, lets a model improve on a draft",
        source="sec. 3.2",
        comparisons=(
            _on_drafts("noise 100 ends more like the real frame than noise 0, dB", "pixeldance", "noise-0", "decides"),
            _on_drafts("noise 50 than noise 0, dB", "noise-50", "noise-0"),
            _on_drafts("noise 100 than noise 300, dB", "pixeldance", "noise-300"),
            FOLLOWS_LAST,
        ),
    ),
    "drop": Claim(
        says="last frames dropped in training, in 25 % of the clips, keep a model good without one",
        source="sec. 3.2",
        comparisons=(
            _without_last("dropped in 25 % than never, pixels", "pixeldance", "always-last", "decides"),
            _without_last("dropped in 50 % than in 25 %, pixels", "half-last", "pixeldance"),
            _without_last("dropped in 25 % than always, pixels", "pixeldance", "never-last"),
            FOLLOWS_LAST,
        ),
    ),
    "last-of-3": Claim(
        says="a last frame drawn from the last three lets the thing arrive evenly",
        source="sec. 3.2",
        comparisons=(
            Comparison(
                says="octaves that the last step is off from the others, fewer than with the very last one",
                ours=ENDED,
                theirs=Side(arm="last-of-1", make=ENDED.make),
                measure=measures.even_end,
            ),
            Comparison(
                says="the end resembles the real one as much, dB",
                ours=ENDED,
                theirs=Side(arm="last-of-1", make=ENDED.make),
                measure=measures.ends_like_real,
                role="shown",
            ),
            FOLLOWS_LAST,
        ),
    ),
    "images": Claim(
        says="one step in eight on images teaches pictures from text, and costs the videos little",
        source="sec. 3.2",
        comparisons=(
            Comparison(
                says="from text alone, pictures of the colour named",
                ours=_made(first=make.nothing),
                theirs=Side(arm="videos-alone", make=partial(shot, first=make.nothing)),
                measure=measures.picture_told,
                threshold=0.25,
            ),
            Comparison(
                says="with a first frame the thing is at most half a pixel further from the real one",
                theirs=Side(arm="videos-alone"),
                measure=measures.near,
                threshold=-0.5,
            ),
            Comparison(
                says="a text that names another colour makes other pictures",
                ours=_made(first=make.nothing),
                theirs=_made(first=make.nothing, text=make.other_colour),
                measure=measures.picture_told,
                threshold=0.25,
                role="knock-out",
            ),
        ),
    ),
    "long": Claim(
        says="in a long take, each clip going on from the last frame of the one before, less is lost",
        source="Figure 6: against other autoregressions; here against the arm never trained with a last frame",
        comparisons=(
            Comparison(
                says="after six clips there and back, the end resembles the start more, dB",
                ours=TAKE,
                theirs=Side(arm="never-last", make=TAKE.make),
                measure=measures.comes_home,
            ),
            Comparison(
                says="after two clips than after six, dB",
                ours=Side(make=partial(make.take, shots=2)),
                theirs=TAKE,
                measure=measures.comes_home,
                role="shown",
            ),
            Comparison(
                says="texts that never turn back do not lead home",
                ours=TAKE,
                theirs=Side(make=partial(make.take, shots=6, back=False)),
                measure=measures.comes_home,
                threshold=0.5,
                role="knock-out",
            ),
        ),
    ),
    "watermark": Claim(
        says="trained on watermarked videos, a first frame without a mark makes a video without",
        source="sec. 4.1",
        comparisons=(
            Comparison(
                says="share of the mark that is missing, more than from a first frame that bears it",
                ours=Side(arm="watermarked"),
                theirs=Side(arm="watermarked", make=partial(shot, first=make.with_mark)),
                measure=measures.unmarked,
                threshold=0.5,
            ),
            Comparison(
                says="trained without marks there is less of it still",
                theirs=Side(arm="watermarked"),
                measure=measures.unmarked,
                role="shown",
            ),
        ),
    ),
    "styles": Claim(
        says="a first frame in a style never seen moves as the text says",
        source="sec. 4.4",
        comparisons=(
            Comparison(
                says="its way is at most a quarter shorter than in the known style",
                ours=_made(first=make.in_style),
                theirs=PLAIN,
                measure=measures.way,
                threshold=-0.25,
            ),
            Comparison(
                says="the text with the opposite direction turns its motion round",
                ours=_made(first=make.in_style),
                theirs=_made(first=make.in_style, text=make.other_way),
                measure=measures.way,
                threshold=0.2,
                role="knock-out",
            ),
        ),
    ),
    "motion": Claim(
        says="with a last frame there is more motion than from text and first frame",
        source="sec. 1 and 4.3",
        comparisons=(
            Comparison(
                says="the way covered, as a share of the real one",
                ours=ENDED,
                theirs=PLAIN,
                measure=measures.moves,
                threshold=0.05,
            ),
            Comparison(
                says="the first frame as the last one holds it still",
                ours=ENDED,
                theirs=_made(last=make.first),
                measure=measures.moves,
                threshold=0.05,
                role="knock-out",
            ),
        ),
    ),
    "details": Claim(
        says="what the text names keeps its looks",
        source="sec. 4.3",
        comparisons=(
            Comparison(
                says="share of the frames with the colour named, more than without a text",
                theirs=_made(text=make.no_words),
                measure=measures.keeps_colour,
                threshold=0.05,
            ),
            Comparison(
                says="a text that names another colour changes it",
                theirs=_made(text=make.other_colour),
                measure=measures.keeps_colour,
                role="knock-out",
            ),
        ),
    ),
}
"""All of them, by the name that the command line and the results have for them."""
