"""Imagen Video (arXiv 2210.02303): a cascade; each stage refines what the one before made, noised on purpose.

Its base is the system vdm, and its temporal stages fill frames between known ones as flexible-diffusion does; this is
the stage that they lack, spatial super-resolution. All frames are given, coarse and noised (noise conditioning
augmentation), so that the errors of the stage before are not taken for facts. Where it deviates: the share of noise is
always the same, in training and in sampling, and so is not told; no distillation; coarse frames are means of squares.
"""

from dataclasses import replace

from pixeldance.condition import ImageSlots
from pixeldance.systems.published import FROM_TEXT
from pixeldance.systems.vdm import VDM

NOISE, SIDE = 0.1, 4

IMAGEN_VIDEO = replace(
    VDM,
    about=__doc__,
    system=replace(
        VDM.system,
        condition=ImageSlots(first=16, last=False, noise=(NOISE, 0.0), noise_at_inference=True),
        net=replace(VDM.system.net, concat=4),
        held=None,
        frames=(16,),
    ),
    objective=replace(FROM_TEXT, coarse=SIDE),
)
