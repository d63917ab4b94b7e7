"""Rendering on the nodes of a Ray cluster: the same bytes, and each clip once, whatever ends on the way.

Nodes only render; files are written where we run. So a clip whose actor or node ended before it came here is given to
another one, and one that came here is asked of nobody again. The model's folder must be at the same path on every node.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pixeldance import cluster
from pixeldance.cli import models
from pixeldance.cli.workers import Rendered, dressed, rendered

if TYPE_CHECKING:
    from pathlib import Path

    from pixeldance.adapter import Applied
    from pixeldance.pipeline import Pipeline
    from pixeldance.receipt import Request

LOST = 3
"""So often may what renders one clip end before it is done; more, and the clip is what ends it."""


class Renderer:
    """The actor. Its model is loaded with its first clip: an error in that is one of rendering, and told as it is."""

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None

    def ready(self) -> bool:
        """That it is there."""
        return True

    def render(
        self, folder: "Path | None", loras: "dict[str, Applied]", threads: int, index: int, request: "Request"
    ) -> Rendered:
        """A request rendered by a model."""
        if self.pipeline is None:
            self.pipeline = dressed(folder, loras, threads)
        return rendered(self.pipeline, index, request, lambda: None)


def render_on_ray(
    pipeline: "Pipeline", requests: "list[Request]", workers: int, on_step: Callable[[], object]
) -> Iterator[Rendered]:
    """As `workers.render_all`, by so many actors, which wait where the cluster has no room for them yet."""
    import torch

    if pipeline.folder is not None and models.is_engine(pipeline.folder):
        raise ValueError("got --ray for a pretrained pipeline, which runs in one process; leave it out")
    with cluster.joined(cluster.HERE) as ray:
        threads = torch.get_num_threads()
        # No restarts by Ray: a new actor may be put on another node.
        kind = ray.remote(Renderer).options(num_cpus=threads, max_restarts=0, scheduling_strategy="SPREAD")
        waiting, idle, lost = deque(range(len(requests))), list[Any](), Counter[int | None]()
        busy: dict[Any, tuple[Any, int | None]] = {}  # the call that is awaited: its actor and its clip

        def hire() -> None:
            one = kind.remote()  # which may wait for room: it is given a clip once it is there
            busy[one.ready.remote()] = one, None

        for _ in range(min(workers, len(requests))):
            hire()
        missing = len(requests)
        while missing:
            (call, *_), _ = ray.wait(list(busy))
            one, index = busy.pop(call)
            try:
                answer = ray.get(call)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                lost[index] += 1
                if lost[index] > LOST:
                    raise ChildProcessError(f"{LOST + 1} actors ended before a clip was done: {error}") from None
                del one  # our last handle on it: should it only have been out of reach, it ends now and makes room
                if index is not None:
                    waiting.appendleft(index)
                if not idle:
                    hire()
            else:
                lost[None] = 0
                if index is not None:
                    for _ in range(requests[index].steps):
                        on_step()
                    missing -= 1
                    _, video, seconds = answer
                    yield index, video.copy(), seconds  # Ray's own memory is read-only, and goes back to it
                idle.append(one)
            while idle and waiting:
                one, index = idle.pop(), waiting.popleft()
                asked = pipeline.folder, pipeline.loras, threads, index, requests[index]
                busy[one.render.remote(*asked)] = one, index
