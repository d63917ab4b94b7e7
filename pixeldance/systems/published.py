"""What a published system is here: a model, how it is trained, and what its file says of it."""

from dataclasses import dataclass

from pixeldance.system import System
from pixeldance.training.objective import Objective

FROM_TEXT = Objective(given=0, drop_last=1.0)
"""Video from text alone: no picture is given."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A system of a paper, as a value: others come from `dataclasses.replace`.

    about: the docstring of its file; the first line names the system and the paper. system: the model at the paper's
    size. objective, image_every, train: how it is trained, as in `training.recipe.Training`; image_every=1 is a model
    that sees pictures alone.
    """

    about: str
    system: System
    objective: Objective = FROM_TEXT
    image_every: int = 8
    train: tuple[str, ...] = ("*",)

    @property
    def line(self) -> str:
        """The first line of its file."""
        return self.about.partition("\n")[0]
