"""From a story to its plan: joins first, then shot by shot the clips that a model can make.

A shot that is longer than a clip is a chain: each clip starts on the latents of a frame of the one before, so spread
that the last clip ends where the shot does. Beats are windows of that chain. (Overlapping windows averaged at every
step, `diffusion.guide.windows`, would need clips without a first frame, which PixelDance never saw in training.) A
pyramid makes keyframes first, with clips whose frames are farther apart in time, and then the clips between them: each
of these knows both its ends, and they can be made in any order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

from pixeldance.film.calls import Call, Given, Handed, Piece, Plan, Source
from pixeldance.film.story import PREVIOUS, Place, Script, Shot, texts
from pixeldance.image import fit, read_image
from pixeldance.pipeline import SEEDS, check_prompt
from pixeldance.receipt import Model
from pixeldance.system import Maker


def plan_film(script: Script, system: Maker, model: Model) -> Plan:
    """The plan of a story for a model. Raises ValueError, naming the line, for what the model cannot make."""
    story = script.story
    with script.explained("size"):
        width, height = (int(side) for side in story.size.split("x")) if story.size else (None, None)
        size = system.size(height, width)
    plan = Plan(model=model, size=size, fps=story.fps or system.fps)
    end: Source | None = None  # the frame that the shot before ends on
    goal: Source | None = None  # the one that it was to arrive at
    for number, shot in enumerate(story.shots):
        after = story.shots[number + 1] if number + 1 < len(story.shots) else None
        start = {"continue": end, "transition": goal}.get(shot.joined) or _start(script, system, plan, number)
        if shot.last == PREVIOUS:
            goal = end
        elif shot.last is not None:
            goal = _picture(script, plan, shot.last, ("shots", number, "last"))
        else:
            goal = _start(script, system, plan, number + 1) if after and after.joined == "transition" else None
        with script.explained("shots", number):
            told = texts(story, shot)
            take = Take(
                plan=plan,
                lengths=lengths(system),
                call=_settings(script, system, plan, number),
                seeds=count(seed_of(script, number)),
                shot=number,
                shows_start=shot.joined == "cut",
            )
            for text in told:
                check_prompt(system, text)
            steps = _steps(shot, take, system.frames[0] - 1, len(told))
            if shot.plan == "pyramid":
                pyramid(take, told[0], start, goal, steps)
            else:
                beats(take, told, start, goal, steps)
            check_calls(plan, system, number)
        end = plan.end()
    return plan


@dataclass(frozen=True, kw_only=True)
class Take:
    """What the clips of a shot have in common. lengths: of the model's clips, rising. call: one with all settings.

    seeds: one for each call. shows_start: whether the frame that the shot starts on is its own, as it is behind a cut;
    elsewhere the shot before shows it.
    """

    plan: Plan
    lengths: tuple[int, ...]
    call: Call
    seeds: Iterator[int]
    shot: int
    shows_start: bool

    def add(self, text: str, length: int, first: Source, last: Source | None, *, fps: float, tau: float) -> str:
        """Put a call into the plan; its name. Without a last frame, tau means nothing and is 1."""
        seed, tau = next(self.seeds) % SEEDS, 1.0 if last is None else tau
        call = replace(self.call, text=text, length=length, first=first, last=last, fps=fps, tau=tau, seed=seed)
        return self.plan.add(call, self.shot)

    def show(self, call: str, stop: int) -> Handed:
        """Show a call up to its frame `stop`; what it starts on was shown before, unless the shot begins here."""
        begins = not self.plan.pieces or self.plan.pieces[-1].shot != self.shot
        start = 0 if begins and self.shows_start else 1
        self.plan.pieces.append(Piece(call=call, start=start, stop=stop + 1, shot=self.shot))
        return self.plan.end()


def check_calls(plan: Plan, system: Maker, shot: int = 0) -> None:
    """Raise ValueError for a call of a shot whose pictures the model does not take, or that has too few for it."""
    for name, call in plan.calls.items():
        if plan.shot_of[name] == shot:
            system.check(call.outlined())


def lengths(system: Maker) -> tuple[int, ...]:
    """The lengths of a model's clips, rising. Raises ValueError for a model of images."""
    if not system.clips:
        raise ValueError("this model makes pictures only; wanted one that makes clips")
    return system.clips


def beats(take: Take, told: Sequence[str], start: Source, goal: Source | None, steps: int) -> None:
    """A text for each beat, in equal windows of the `steps` new frames; the last one arrives at the goal."""
    if steps < len(told):
        raise ValueError(f"got {len(told)} beats in {steps} new frames; wanted a frame for each, or fewer beats")
    for beat, text in enumerate(told):
        window = steps * (beat + 1) // len(told) - steps * beat // len(told)
        start = chain(take, text, start, goal if beat == len(told) - 1 else None, window)


def chain(take: Take, text: str, start: Source, goal: Source | None, steps: int) -> Source:
    """Clip after clip over `steps` new frames; the frame that they end on.

    Raises ValueError for a goal that is nearer than a clip of the model is long.
    """
    length = next((length for length in take.lengths if length > steps), take.lengths[-1])
    if goal is not None and steps < length - 1:
        raise ValueError(
            f"got {steps} new frames to arrive at a last frame in; this model's clips have "
            f"{' or '.join(map(str, take.lengths))}: wanted {take.lengths[0] - 1} new frames or more"
        )
    clips = -(-steps // (length - 1))
    over = max(0, steps + 1 - length)
    begins = [over * clip // max(1, clips - 1) for clip in range(clips)]
    for begin, following in zip(begins, [*begins[1:], None], strict=True):
        last = goal if following is None else None
        call = take.add(text, length, start, last, fps=take.plan.fps, tau=take.call.tau)
        start = take.show(call, (steps if following is None else following) - begin)
    return start


def pyramid(take: Take, text: str, start: Source, goal: Source | None, steps: int) -> None:
    """Keyframes first, a clip's steps apart, and then the clips between them.

    Raises ValueError for a number of new frames that is not one of whole clips.
    """
    length = take.lengths[-1]
    gaps, rest = divmod(steps, length - 1)
    if rest or gaps < 2:
        near = max(2, round(steps / (length - 1))) * (length - 1) + take.shows_start
        raise ValueError(
            f"got {steps + take.shows_start} frames; a pyramid's keyframes are {length - 1} frames apart: try {near}"
        )
    _fill(take, text, start, goal, gaps, take.call.tau)


def _fill(take: Take, text: str, start: Source, goal: Source | None, gaps: int, tau: float) -> None:
    """The `gaps` clips between two frames. At keyframes tau is 1, for the next clip starts there."""
    length = take.lengths[-1]
    call = take.add(text, length, start, goal, fps=take.plan.fps / gaps, tau=tau)
    if gaps == 1:
        take.show(call, length - 1)
        return
    parts = min(gaps, length - 1)
    for part in range(parts):
        (begin, stop), (one, other) = (
            (whole * part // parts, whole * (part + 1) // parts) for whole in (gaps, length - 1)
        )
        final = part == parts - 1 and goal is not None
        near = start if part == 0 else Handed(call=call, frame=one)
        far = goal if final else Handed(call=call, frame=other)
        _fill(take, text, near, far, stop - begin, tau if final else 1.0)


def seed_of(script: Script, number: int) -> int:
    """The seed of a shot: its own, or one made of the story's, its text, and how often that came before.

    So a shot keeps its seed when others are changed, put in or taken out.
    """
    story = script.story
    shot = story.shots[number]
    if shot.seed is not None:
        return shot.seed
    before = sum(each.text == shot.text for each in story.shots[:number])
    digest = hashlib.sha256(f"{story.seed} {before} {shot.text}".encode()).digest()
    return int.from_bytes(digest[:4])


def _start(script: Script, system: Maker, plan: Plan, number: int) -> Source:
    """The frame that a shot starts on if none is handed over: its picture, or one that the model makes of its text."""
    shot = script.story.shots[number]
    if shot.first is not None:
        return _picture(script, plan, shot.first, ("shots", number, "first"))
    with script.explained("shots", number):
        if 1 not in system.frames:
            raise ValueError("this model makes no pictures from text; give the shot a first frame")
        text = texts(script.story, shot)[0]
        check_prompt(system, text)
        call = _settings(script, system, plan, number)
        still = replace(call, text=text, tau=1.0, seed=(call.seed - 1) % SEEDS)  # other noise than the first clip's
        return Handed(call=plan.add(still, number), frame=0)


def _settings(script: Script, system: Maker, plan: Plan, number: int) -> Call:
    """A call with all that the story says, for a shot; as it is, a still."""
    story, shot = script.story, script.story.shots[number]
    return Call(
        text="",
        length=1,
        size=plan.size,
        fps=plan.fps,
        steps=system.steps if story.steps is None else story.steps,
        guidance=system.guidance if story.guidance is None else story.guidance,
        tau=story.tau if shot.tau is None else shot.tau,
        seed=seed_of(script, number),
    )


def _picture(script: Script, plan: Plan, path: str, place: Place) -> Given:
    with script.explained(*place):
        pixels = fit(read_image(script.picture(path)), size=plan.size, rule=script.story.fit)
        return Given(pixels=pixels, path=path)


def _steps(shot: Shot, take: Take, usual: int, told: int) -> int:
    """How many new frames a shot has behind the one that it starts on; by default a usual clip for each text."""
    if shot.seconds is not None:
        frames = frames_in(shot.seconds, take.plan.fps)
    elif shot.frames is not None:
        frames = shot.frames
    else:
        return usual * told
    return frames - take.shows_start


def frames_in(seconds: float, fps: float) -> int:
    """How many frames these seconds are. Raises ValueError where they are not whole, and fewer than 2."""
    frames = Fraction(seconds).limit_denominator(10**6) * Fraction(fps).limit_denominator(1001)
    if frames.denominator != 1 or frames < 2:
        near = max(2, round(frames))
        raise ValueError(f"got {seconds:g} seconds, {float(frames):g} frames at {fps:g} a second; try {near / fps:.6g}")
    return int(frames)
