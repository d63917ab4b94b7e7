"""The options that verbs share, each with its parser and its line of help."""

from typing import Annotated

from typer import Argument, Option

from pixeldance.cli import ask

MOST_CLIPS, MOST_PROCESSES, MOST_TRIES = 10_000, 256, 1000
TRIES = 8  # of --until, where none are given

# Click shows the defaults that are known before a model is; these are the model's.
OWN = "  [default: the model's own]"

TEXT = Argument(metavar="TEXT", parser=ask.plain, help="What the video shows, in plain English.")
OUT = Option("--out", "-o", metavar="FILE", help="out.mp4, .mkv (lossless), .gif, .webp, or frames/ for PNGs.")
Text = Annotated[str, TEXT]
TextIfAny = Annotated[str | None, TEXT]
Out = Annotated[str, OUT]
OutIfAny = Annotated[str | None, OUT]
Camera = Annotated[
    str | None,
    Option(metavar="WORDS", help="pan left, right, up, down; zoom in, out; close-up; rotate; circle; follow; static."),
]
First = Annotated[str | None, Option(metavar="IMAGE", help="First frame; without one, the text makes it.")]
Last = Annotated[str | None, Option(metavar="IMAGE", help="Last frame: a picture, or a rough drawing of it.")]
Tau = Annotated[
    float | None,
    Option(parser=ask.number(0, 1), metavar="0..1", help="How far the last frame leads the way.  [default: 1]"),
]
End = Annotated[
    str | None,
    Option(metavar="WORD", help="The same in words: exact, guide or hint; or a similarity to reach, as 25dB."),
]
TauSteps = Annotated[int | None, Option(parser=ask.whole(0, 1000), metavar="N", help="The same as a number of steps.")]
Steps = Annotated[int | None, Option(parser=ask.whole(1, 1000), metavar="N", help="Sampling steps." + OWN)]
Guidance = Annotated[
    float | None, Option(parser=ask.number(0, 100), metavar="X", help="How much the text leads." + OWN)
]
Seed = Annotated[
    int | None,
    Option(parser=ask.whole(0, ask.SEEDS - 1), metavar="N", help="Same seed, same bytes.  [default: drawn and told]"),
]
Frames = Annotated[int | None, Option(parser=ask.whole(1, 10**12), metavar="N", help="Length." + OWN)]
Fps = Annotated[float | None, Option(parser=ask.number(0.1, 240), metavar="X", help="Frames per second." + OWN)]
Size = Annotated[str | None, Option(metavar="WxH", help="Width x height in pixels." + OWN)]
ModelFolder = Annotated[
    str | None,
    Option("--model", metavar="MODEL", help="A checkpoint, or a pipeline's folder or hub name.  [default: ours]"),
]
Loras = Annotated[
    list[str] | None,
    Option("--lora", metavar="DIR[:SCALE]", help="A LoRA on the model; several add up.  [default scale: 1]"),
]
AnyBase = Annotated[bool, Option("--any-base", help="Allow LoRAs that were trained on another model.")]
Count = Annotated[
    int, Option(parser=ask.whole(1, MOST_CLIPS), metavar="N", help="Clips out-1, out-2, ... with seeds s, s+1, ...")
]
BestOf = Annotated[
    int | None,
    Option(parser=ask.whole(2, MOST_TRIES), metavar="N", help="Make N with seeds s, s+1, ...; keep the best."),
]
Until = Annotated[
    str | None, Option(metavar="CONDITION", help="Make others until the meter says so, as in 'end_jump<1.3'.")
]
Tries = Annotated[
    int | None, Option(parser=ask.whole(2, MOST_TRIES), metavar="N", help=f"Most of --until.  [default: {TRIES}]")
]
Workers = Annotated[
    int, Option(parser=ask.whole(1, MOST_PROCESSES), metavar="N", help="Processes for several; the same bytes.")
]
Rows = Annotated[
    str | None,
    Option("--jobs", metavar="FILE", help='Many clips: a line of JSON for each, {"text": ..., "out": ..., ...}.'),
]
OnRay = Annotated[
    bool, Option("--ray", help="Workers on the nodes of this machine's Ray cluster, or of RAY_ADDRESS's.")
]
Threads = Annotated[
    int, Option(parser=ask.whole(1, MOST_PROCESSES), metavar="N", help="Threads of each; others round otherwise.")
]
Fit = Annotated[
    str, Option(parser=ask.one_of("pad", "crop"), metavar="pad|crop", help="Pictures of another shape: bars, or cut.")
]
Background = Annotated[str, Option(metavar="COLOUR", help="What shows where a picture is transparent.")]
Sheet = Annotated[bool, Option("--sheet", help="Also out-sheet.png: all frames in one picture.")]
Force = Annotated[bool, Option("--force", help="Overwrite what is there.")]
