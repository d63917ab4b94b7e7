"""PixelDance's nodes for ComfyUI. Put this folder into custom_nodes/ and install pixeldance where ComfyUI runs."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
