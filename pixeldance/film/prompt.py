"""Several shots in one prompt: "a girl gets out of a car; cut to: the sunset; cut to: she smiles" becomes a story.

By rules, not by a model: what they made is a story like any other, which `pixeldance film --dry-run` shows, to be kept
and changed. Subject, style and mood stay over the cuts: a pronoun at the start of a shot stands for the first shot's
subject, and what one shot says of style or mood holds for all.
"""

import re
from pathlib import Path
from typing import get_args

from pixeldance.film.story import LONGEST, Join, Script, Shot, Story, check

CHANGES: dict[Join, str] = {
    "cut": r"(?:hard )?cut to\b:?|the scene changes to\b:?",
    "transition": r"(?:transition|dissolve|fade) to:",
    "continue": r"(?:continue|in the same take):",
}
"""How a prompt says the three joins; "then" or "and" may stand before."""
CHANGE = re.compile(
    r"[\s,;.]*\b(?:and |then |and then )?(?:" + "|".join(f"(?P<{join}>{said})" for join, said in CHANGES.items()) + ")",
    re.IGNORECASE,
)
STYLE = re.compile(
    r"[,;.]?\s*\b(in the style of [^,;.]+|in an? [^,;.]+ (?:style|mood)|(?:style|mood):\s*[^,;.]+)", re.IGNORECASE
)
PRONOUN = re.compile(r"(?:he|she|it|they)\b", re.IGNORECASE)
ARTICLE = r"(?:an?|the|one|two|three|some|my|his|her|their)"
# An article and all up to the first word that looks like a verb: "a girl | gets", "a red cross | is", "a cat | sitting"
SUBJECT = re.compile(rf"({ARTICLE}\b(?:\s+[\w'-]+)+?)\s+(?:is\b|are\b|\w+(?:[^s\W]s|ing)\b)", re.IGNORECASE)


def parse_prompt(text: str) -> Script:
    """The story of a prompt. Raises ValueError for a shot without words."""
    joins: list[Join | None] = [None]
    parts, start = [], 0
    for change in CHANGE.finditer(text):
        parts.append(text[start : change.start()])
        joins.append(next(join for join in get_args(Join) if change[join]))
        start = change.end()
    parts.append(text[start:])
    styles = dict.fromkeys(found[1].strip() for part in parts for found in STYLE.finditer(part))
    bare = [STYLE.sub("", part).strip(" ,;.:\n") for part in parts]
    subject = SUBJECT.match(bare[0])
    subjects = {}
    if subject and len(bare) > 1 and any(PRONOUN.match(part) for part in bare[1:]):
        subjects = {"subject": subject[1]}
        bare = ["{subject}" + bare[0][len(subject[1]) :], *(_named(part) for part in bare[1:])]
    for number, part in enumerate(bare):
        if not 1 <= len(part) <= LONGEST:
            raise ValueError(
                f"the prompt, shot {number + 1}: got {len(part)} characters; wanted what it shows in 1 to {LONGEST}, "
                "e.g. 'a girl smiles; cut to: the sunset'"
            )
    story = Story(
        style=", ".join(re.sub(r"^(?:style|mood):\s*", "", style, flags=re.IGNORECASE) for style in styles),
        subjects=subjects,
        shots=[Shot(text=part, join=join) for part, join in zip(bare, joins, strict=True)],
    )
    script = Script(story=story, name="the prompt", folder=Path())
    check(script)
    return script


def _named(part: str) -> str:
    """A shot's text with the subject's name for a pronoun that it starts with."""
    return PRONOUN.sub("{subject}", part, count=1) if PRONOUN.match(part) else part
