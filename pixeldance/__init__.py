"""PixelDance: a text, a first frame and a last frame become a video; `pixeldance.load()` opens a model.

Importing this package imports neither torch nor anything heavy: `load` is looked up on first use.
"""

from typing import TYPE_CHECKING

__all__ = ["__version__", "load"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from pixeldance.pipeline import load as load
else:

    def __getattr__(name: str) -> object:
        if name == "load":
            from pixeldance.pipeline import load

            return load
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
