"""The English of the toybox: for every fact the ways to say it, the plainest first.

In a phrase, `moves/moving` is a verb as a statement has it and as a description has it ("a star moves",
"a star moving"), underscores standing for spaces; `{slots}` are filled in by caption.py. Whatever is not
in these tables no caption says: `VOCABULARY` is read off them.
"""

import re

from pixeldance.nets.words import words

SHAPE = {
    "circle": ("circle", "ball", "disc", "disk", "dot", "round shape"),
    "square": ("square", "box", "block", "cube", "tile"),
    "triangle": ("triangle", "triangular shape", "cone", "pyramid"),
    "star": ("star", "five pointed star", "starlet"),
    "ring": ("ring", "hoop", "donut", "loop"),
    "cross": ("cross", "plus", "plus sign", "x shape"),
    "diamond": ("diamond", "rhombus", "lozenge", "kite"),
    "heart": ("heart", "heart shape", "love heart"),
}
COLOUR = {
    "red": ("red", "bright red", "scarlet", "crimson"),
    "orange": ("orange", "bright orange", "tangerine"),
    "yellow": ("yellow", "bright yellow", "golden"),
    "green": ("green", "bright green", "emerald"),
    "cyan": ("cyan", "turquoise", "aqua"),
    "blue": ("blue", "bright blue", "royal blue"),
    "purple": ("purple", "violet", "bright purple"),
    "pink": ("pink", "bright pink", "magenta", "rosy"),
}
SIZE = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium-sized", "medium", "mid-sized"),
    "large": ("large", "big", "huge", "giant"),
}
BACKGROUND = {
    "white": ("white", "snow white", "pure white"),
    "grey": ("grey", "gray", "dull grey"),
    "black": ("black", "dark", "pitch black"),
    "beige": ("beige", "sand coloured", "cream", "tan"),
    "brown": ("brown", "earthy brown"),
    "dark green": ("dark green", "forest green", "deep green"),
    "dark blue": ("dark blue", "navy blue", "navy", "deep blue"),
    "light blue": ("light blue", "pale blue", "sky blue"),
}
TEXTURE = {
    "plain": ("plain", "empty", "simple", "solid"),
    "stripes": ("striped", "stripy", "lined"),
    "checks": ("checked", "checkered", "chequered", "checkerboard"),
    "dots": ("dotted", "spotted", "polka dot"),
}
WITH = {
    "stripes": ("with stripes", "with lines"),
    "checks": ("with checks", "with a checkered pattern", "with squares"),
    "dots": ("with dots", "with spots"),
}
GROUND = ("background", "backdrop", "surface", "wall", "field")
BEFORE = ("on", "against", "in front of", "over")

# {go} is one of GO, {how} a speed or nothing; every direction also has verbs of its own.
GO = (
    "moves/moving",
    "slides/sliding",
    "glides/gliding",
    "travels/travelling",
    "drifts/drifting",
    "goes/going",
    "heads/heading",
    "shifts/shifting",
    "floats/floating",
)
WAY = {
    "left": ("left", "to the left", "leftwards", "leftward", "towards the left", "from right to left"),
    "right": ("right", "to the right", "rightwards", "rightward", "towards the right", "from left to right"),
    "up": ("up", "upwards", "upward", "towards the top", "to the top"),
    "down": ("down", "downwards", "downward", "towards the bottom", "to the bottom"),
}
ALSO = {
    "left": ("rolls/rolling{how} to the left", "walks/walking{how} left", "flies/flying{how} to the left"),
    "right": (
        "rolls/rolling{how} to the right",
        "walks/walking{how} right",
        "flies/flying{how} to the right",
    ),
    "up": ("rises/rising{how}", "climbs/climbing{how}", "ascends/ascending{how}", "flies/flying up{how}"),
    "down": ("falls/falling{how}", "sinks/sinking{how}", "drops/dropping{how}", "descends/descending{how}"),
}
HOW = {
    "slow": ("slowly", "gently", "at a slow pace", "softly", "at low speed"),
    "normal": ("steadily", "at a steady pace", "at a normal speed", "at medium speed"),
    "fast": ("quickly", "fast", "rapidly", "at high speed", "swiftly"),
}
MOTION = {
    "bounce": (
        "bounces/bouncing",
        "bounces/bouncing up and down",
        "hops/hopping up and down",
        "hops/hopping",
        "jumps/jumping up and down",
        "jumps/jumping twice",
    ),
    "orbit clockwise": (
        "moves/moving in a circle clockwise",
        "circles/circling clockwise",
        "orbits/orbiting clockwise",
        "goes/going around in a clockwise circle",
        "travels/travelling clockwise around in a circle",
    ),
    "orbit counter-clockwise": (
        "moves/moving in a circle counter-clockwise",
        "circles/circling counter-clockwise",
        "orbits/orbiting anticlockwise",
        "circles/circling counterclockwise",
        "goes/going around in an anticlockwise circle",
        "travels/travelling counter-clockwise around in a circle",
    ),
    "grow": (
        "grows/growing",
        "gets/getting bigger",
        "becomes/becoming larger",
        "expands/expanding",
        "increases/increasing in size",
    ),
    "shrink": (
        "shrinks/shrinking",
        "gets/getting smaller",
        "becomes/becoming smaller",
        "contracts/contracting",
        "decreases/decreasing in size",
    ),
    "spin": (
        "spins/spinning{turn}",
        "rotates/rotating{turn}",
        "turns/turning{turn}",
        "spins/spinning{turn} in place",
        "turns/turning around itself{turn}",
    ),
    "change colour": (
        "turns/turning {turns}",
        "changes/changing colour to {turns}",
        "becomes/becoming {turns}",
        "changes/changing to {turns}",
        "changes/changing color from {colour} to {turns}",
    ),
    "appear": (
        "appears/appearing",
        "fades/fading in",
        "shows/showing up",
        "comes/coming into view",
        "pops/popping up",
    ),
    "disappear": (
        "disappears/disappearing",
        "vanishes/vanishing",
        "fades/fading away",
        "fades/fading out",
        "goes/going away",
    ),
    "still": (
        "stays/staying still",
        "does_not_move/not_moving",
        "stands/standing still",
        "remains/remaining in place",
        "rests/resting",
        "stays/staying where it is",
    ),
}
TURN = {1: ("clockwise",), -1: ("counter-clockwise", "anticlockwise", "counterclockwise")}
VAGUE = {
    "path": ("moves/moving", "travels/travelling"),
    "change": ("changes/changing",),
    "still": ("is_there/seen",),
}

CAMERA = {
    "still": ("the camera is still", "static camera", "the camera does not move", "fixed camera"),
    "pan left": ("the camera pans left", "the camera pans to the left", "camera pan left", "panning left"),
    "pan right": (
        "the camera pans right",
        "the camera pans to the right",
        "camera pan right",
        "panning right",
    ),
    "pan up": ("the camera pans up", "the camera tilts up", "camera pan up", "panning up"),
    "pan down": ("the camera pans down", "the camera tilts down", "camera pan down", "panning down"),
    "zoom in": ("the camera zooms in", "zoom in", "the camera moves closer", "zooming in", "close-up"),
    "zoom out": ("the camera zooms out", "zoom out", "the camera moves back", "zooming out"),
}

MORE_CAMERA = {
    "rotate": ("the camera rotates", "the camera turns", "rotating camera", "the camera rolls"),
    "follow": ("the camera follows", "tracking shot", "the camera moves along"),
    "circle": ("the camera circles around", "circling camera"),
    "close-up": ("close-up", "seen from close up", "a close shot"),
}

# {subject} a thing with its article, {does} and {doing} its motion, {place} the background.
SIMPLE = ("{subject} {does} {place}", "{subject} is {doing} {place}", "{subject} {doing} {place}")
TELL = (
    *SIMPLE,
    "{subject} {does} {place}",
    "{subject} {place} {does}",
    "{place} {subject} {does}",
    "{place}, {subject} is {doing}",
    "a video of {subject} {doing} {place}",
    "a clip of {subject} {place} {doing}",
    "there is {subject} {place} that {does}",
    "we see {subject} {doing} {place}",
)
SHOW = (
    "{subject} {place}",
    "a picture of {subject} {place}",
    "{place}, {subject}",
    "an image of {subject} {place}",
    "there is {subject} {place}",
    "a still of {subject}",
)
BOTH = (
    "{one} and {two} {place}",
    "{place}, {one} and {two}",
    "{one} while {two} {place}",
    "{one} as {two} {place}",
)
# What two objects do together, {one} the first of world.PAIRS and {two} the second.
TOGETHER = {
    "approach": (
        "{one} approaches {two}",
        "{one} moves towards {two}",
        "{one} comes close to {two}",
        "{one} goes to {two}",
    ),
    "collide": (
        "{one} and {two} collide",
        "{one} bumps into {two} and both go back",
        "{one} and {two} hit each other",
        "{one} collides with {two}",
    ),
    "follow": (
        "{one} follows {two}",
        "{one} chases {two}",
        "{one} moves behind {two}",
        "{two} moves in front of {one}, which follows",
    ),
    "swap": (
        "{one} and {two} swap places",
        "{one} swaps places with {two}",
        "{one} and {two} change places",
        "{one} and {two} trade places",
    ),
}
# How things are drawn; of the usual way nothing is said.
STYLE = {
    "outline": ("in outline", "drawn in outline", "as a line drawing"),
    "ink": ("in ink", "drawn in ink", "inked"),
    "pixel": ("in pixel art", "as pixel art", "pixelated"),
}
PLACED = ("{says} {place}", "{says} {place}", "{place}, {says}")
CUT = (
    "{one}, cut to {two}",
    "{one}. then {two}",
    "{one}, then the scene changes to {two}",
    "{one}. cut to: {two}",
)
FILMED = ("{told}, {camera}", "{camera}, {told}", "{told}. {camera}")
ARTICLES = ("a", "an", "one")

SLOT = re.compile(r"\{[a-z]+\}")


def _phrases(table: object) -> list[str]:
    if isinstance(table, str):
        return [table]
    items = table.values() if isinstance(table, dict) else table
    return [phrase for item in items for phrase in _phrases(item)]  # type: ignore[attr-defined]


_ALL = (
    *(SHAPE, COLOUR, SIZE, BACKGROUND, TEXTURE, WITH, GROUND, BEFORE, GO, WAY, ALSO, HOW, MOTION, TURN),
    *(VAGUE, CAMERA, TELL, SHOW, BOTH, CUT, FILMED, ARTICLES),
)


def _words(table: object) -> set[str]:
    return {word for phrase in _phrases(table) for word in words(SLOT.sub(" ", phrase))}


VOCABULARY: tuple[str, ...] = tuple(sorted(_words(_ALL)))
"""Of the worlds in which nothing is asked for that is off by default, as it was when the first models learned it."""
MORE_WORDS: tuple[str, ...] = tuple(sorted(_words((TOGETHER, STYLE, MORE_CAMERA)) - set(VOCABULARY)))
"""What captions of all that a world can ask for say besides."""
