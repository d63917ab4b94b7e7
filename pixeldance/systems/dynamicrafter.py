"""DynamiCrafter (arXiv 2310.12190): a picture comes to life, told to the network twice, as tokens and as latents.

A query transformer makes tokens of the picture, which every layer reads beside the text's through a gate of its own
(`nets/image_tokens.py`): what is in the picture. Its latents are joined to the noisy video: where it is. Where it
deviates: the query transformer reads the picture's latents, not CLIP's tokens; the two attentions of a layer have
queries of their own; the latents stand at the first frame and not at all of them; there are no three stages.
"""

from dataclasses import replace

from pixeldance.condition import ImageSlots
from pixeldance.systems.pixeldance import PIXELDANCE
from pixeldance.systems.published import Published
from pixeldance.training.objective import Objective

DYNAMICRAFTER = Published(
    about=__doc__,
    system=replace(
        PIXELDANCE,
        condition=ImageSlots(first=1, last=False),
        net=replace(PIXELDANCE.net, image_tokens=16),
        guidance=7.5,
    ),
    objective=Objective(given=1, drop_last=1.0),
)
