"""Tune-A-Video (arXiv 2212.11565): an image model tuned on one clip, whose frames attend to the first and the previous.

Only the queries of attention and the attention over time are trained; the new video starts from the clip's own noise,
found by DDIM inversion (`pixeldance edit`). Where it deviates: keys and values come from the two frames' tokens side by
side, as in the paper, but attention over time counts frames from both ends.
"""

from dataclasses import replace

from pixeldance.systems.latent_video import LATENT_VIDEO

TUNE_A_VIDEO = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        net=replace(LATENT_VIDEO.system.net, temporal_convolutions=0, temporal_attentions=1, keys="first+previous"),
        frames=(24, 1),
    ),
    image_every=0,
    train=("net.*_attention.query.*", "net.*.temporal.*"),
)
