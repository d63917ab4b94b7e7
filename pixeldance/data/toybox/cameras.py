"""What the camera of a video does, moves that came later too: a rotation, a circle, and one that goes with an object.

The ground's steps from frame to frame (`ground.steps_of`) are put together to the place, the size and the angle in
which the world is seen.
"""

import numpy as np

from pixeldance.data.toybox.blobs import Video, find
from pixeldance.data.toybox.ground import camera_of, free, level, steps_of, texture_name
from pixeldance.data.toybox.motion import share, turned
from pixeldance.data.toybox.world import PX, ROLL, ROUND_TRIP

STAYS = 1.0 * PX  # an object whose place on the picture wanders less does not move there
WENT = 3.5 * PX  # and the ground has gone farther than this, where the camera follows it


def camera_name(video: Video) -> str | None:
    """The camera of a video (f, h, w, 3) without a cut: one of world.CAMERAS, "rotate", "circle" or "follow".

    None on a plain ground or along stripes, where nothing can be followed. A close-up is read as still: from the first
    frame on nothing of it moves.
    """
    seen = free(video)
    mean = level(video, seen)
    frames, height, width = seen.shape
    if frames < 4 or texture_name(video, seen, mean) in ("plain", "stripes"):
        return None
    unit, way = min(height, width), share(frames)
    where, zoom, angle = np.zeros((frames, 2)), 1.0, 0.0
    for i, (dx, dy, grows, turns) in enumerate(steps_of(video, seen, turns=True)):
        x, y = turned(where[i, 0], where[i, 1], turns)
        where[i + 1] = (float(x) * (1 + grows) + dx / unit, float(y) * (1 + grows) + dy / unit)
        zoom, angle = zoom * (1 + grows), angle + turns
    if abs(angle) > 0.5 * ROLL * way:
        return "rotate"
    far = float(np.hypot(*where.T).max())
    if way == 1 and far > 1.2 * ROUND_TRIP and float(np.hypot(*where[-1])) < 0.5 * far:
        return "circle"
    if float(np.hypot(*where[-1])) > WENT * way and _stays(video, mean, unit):
        return "follow"
    return camera_of(where[-1], zoom, way)


def _stays(video: Video, mean: np.ndarray, unit: int) -> bool:
    """Whether the largest object stays at one place of the picture, as large as it was."""
    largest = [blobs[0] for blobs in find(video, mean) if blobs]
    if len(largest) < 0.8 * len(video):
        return False
    place = np.array([(blob.x, blob.y) for blob in largest]) / unit
    return float(np.hypot(*(place - place.mean(0)).T).max()) < STAYS
