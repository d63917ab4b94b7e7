"""The systems that this package knows, by name. One file a system; a system is a value."""

from pixeldance.system import System
from pixeldance.systems.pixeldance import PIXELDANCE, SMALL_PIXELDANCE

SYSTEMS: dict[str, System] = {"pixeldance": PIXELDANCE, "small-pixeldance": SMALL_PIXELDANCE}
