"""The systems that this package knows, by name. One file a system; a system is a value."""

from pixeldance.system import System
from pixeldance.systems import pixeldance
from pixeldance.systems.dynamicrafter import DYNAMICRAFTER
from pixeldance.systems.emu_video import EMU_VIDEO
from pixeldance.systems.flexible_diffusion import FLEXIBLE_DIFFUSION
from pixeldance.systems.gen_l_video import GEN_L_VIDEO
from pixeldance.systems.imagen_video import IMAGEN_VIDEO
from pixeldance.systems.latent_shift import LATENT_SHIFT
from pixeldance.systems.latent_video import LATENT_VIDEO
from pixeldance.systems.lvdm import LVDM
from pixeldance.systems.magicvideo import MAGICVIDEO
from pixeldance.systems.make_a_video import MAKE_A_VIDEO
from pixeldance.systems.modelscope import MODELSCOPE
from pixeldance.systems.nuwa_xl import NUWA_XL
from pixeldance.systems.pixeldance import PIXELDANCE, SMALL_PIXELDANCE, SMALL_STILLS
from pixeldance.systems.published import Published
from pixeldance.systems.pyoco import PYOCO
from pixeldance.systems.svd import SVD
from pixeldance.systems.text2video_zero import TEXT2VIDEO_ZERO
from pixeldance.systems.tune_a_video import TUNE_A_VIDEO
from pixeldance.systems.vdm import VDM
from pixeldance.systems.videofusion import VIDEOFUSION
from pixeldance.training.objective import Objective

__all__ = ["PIXELDANCE", "PUBLISHED", "SMALL_PIXELDANCE", "SMALL_STILLS", "SYSTEMS"]

PUBLISHED: dict[str, Published] = {
    "pixeldance": Published(about=pixeldance.__doc__ or "", system=PIXELDANCE, objective=Objective()),
    "latent-video": LATENT_VIDEO,
    "videofusion": VIDEOFUSION,
    "pyoco": PYOCO,
    "gen-l-video": GEN_L_VIDEO,
    "text2video-zero": TEXT2VIDEO_ZERO,
    "latent-shift": LATENT_SHIFT,
    "magicvideo": MAGICVIDEO,
    "lvdm": LVDM,
    "flexible-diffusion": FLEXIBLE_DIFFUSION,
    "vdm": VDM,
    "make-a-video": MAKE_A_VIDEO,
    "imagen-video": IMAGEN_VIDEO,
    "emu-video": EMU_VIDEO,
    "svd": SVD,
    "dynamicrafter": DYNAMICRAFTER,
    "nuwa-xl": NUWA_XL,
    "tune-a-video": TUNE_A_VIDEO,
    "modelscope": MODELSCOPE,
}
"""What papers describe, each at its paper's size. `toy.toy` makes any of them small enough to train in minutes."""

SYSTEMS: dict[str, System] = {
    **{name: each.system for name, each in PUBLISHED.items()},
    "small-pixeldance": SMALL_PIXELDANCE,
    "small-stills": SMALL_STILLS,
}
