"""A plan in words: what --dry-run prints, a table of the shots and what is still to be made."""

from collections import Counter

from pixeldance.film.calls import Plan
from pixeldance.film.render import missing
from pixeldance.film.store import Store
from pixeldance.film.story import Script, texts
from pixeldance.film.workers import makespan

COLUMNS = ("shot", "frames", "join", "clips", "to make", "needs", "text")


def table(script: Script, plan: Plan, store: Store) -> str:
    """The shots of a film: their frames (from 0), joins, clips, how many of these are to be made, the other shots whose
    frames they start from or go to, and their texts. A still that a shot starts on counts as one of its clips."""
    wanted = Counter(plan.shot_of[name] for name in missing(plan, store))
    clips = Counter(plan.shot_of.values())
    rows = [COLUMNS]
    begin = 0
    for number, shot in enumerate(script.story.shots):
        end = begin + plan.frames(number)
        counts = (str(clips[number]), str(wanted[number]), ", ".join(str(each + 1) for each in plan.needs(number)))
        told = " THEN ".join(texts(script.story, shot))
        rows.append((str(number + 1), f"{begin}-{end - 1}", shot.joined if number else "", *counts, told))
        begin = end
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows)


def forecast(plan: Plan, store: Store, workers: int = 1) -> str:
    """How long the film is, how much of it is there, and the time that the rest will take in so many processes, as far
    as it is known. Processes that share a core are slower than this says."""
    wanted = missing(plan, store)
    took = store.seconds([plan.calls[name] for name in wanted], plan.model)
    known = [seconds for seconds in took if seconds is not None]
    frames = plan.frames()
    film = f"{frames} frames of {plan.size[1]}x{plan.size[0]}, {frames / plan.fps:g} s at {plan.fps:g} a second"
    if not wanted:
        return f"{film}; all {len(plan.calls)} clips are there"
    told = f"{film}; {len(wanted)} of {len(plan.calls)} clips to make, time: "
    if len(known) < len(wanted):
        return f"{told}unknown for {len(wanted) - len(known)} of them, as none like these was made here before"
    time = makespan(plan, dict(zip(wanted, known, strict=True)), workers)
    return f"{told}about {time:.3g} s, as earlier ones took here{f', in {workers} processes' if workers > 1 else ''}"
