"""`pixeldance verify`: whether a clip is what its receipt says."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from pixeldance.cli import models


def verify(
    receipt: Annotated[Path, Argument(metavar="RECEIPT", help="The .json beside a clip.")],
    model: Annotated[str | None, Option(metavar="DIR", help="A checkpoint; the one that the receipt names.")] = None,
    lora: Annotated[
        list[str] | None, Option(metavar="DIR", help="Where its LoRAs are now, in its order; where the receipt says.")
    ] = None,
) -> None:
    """Render a clip, an edit or a film again from its receipt, every clip of it, and compare.

    Exit code 0: the same frames; 1: other frames, and likely why.
    """
    import torch
    from tqdm import tqdm

    from pixeldance.edit.receipt import is_edit, read_edit, verify_edit
    from pixeldance.film.verify import is_film, read_film, verify_film
    from pixeldance.pipeline import SHIPPED
    from pixeldance.receipt import Receipt, read_receipt
    from pixeldance.receipt import verify as verdict_on

    edit, film = is_edit(receipt), is_film(receipt)
    read = read_edit(receipt) if edit else read_film(receipt) if film else read_receipt(receipt)
    folder = Path(model or read.model.folder or SHIPPED)
    if model is None and not folder.exists():
        raise ValueError(f"{receipt} names the model {folder}, which is not here; say where it is with --model DIR")
    folders = [each.folder for each in read.model.loras]
    gone = [each for each in folders if not Path(each).exists()]
    if gone and not lora:
        raise ValueError(f"{receipt} names the LoRA {gone[0]}, which is not here; say where all are with --lora DIR")
    if lora and len(lora) != len(folders):
        raise ValueError(
            f"got {len(lora)} --lora; wanted where these of the receipt are now, in their order: "
            f"{', '.join(folders) or 'it has none'}"
        )
    torch.set_num_threads(read.threads)
    pipeline = models.opened(folder)
    for index, (then, place) in enumerate(zip(read.model.loras, lora or folders, strict=True)):
        pipeline.load_lora_weights(place, str(index), then.scale, any_base=True)  # the verdict compares their hashes
    verifier = verify_edit if edit else verify_film if film else verdict_on
    # Films, and edits of long videos, are several clips, each of so many steps.
    total = read.request.steps if isinstance(read, Receipt) else None
    with tqdm(total=total, unit="step", disable=None, leave=False) as bar:
        verdict = verifier(receipt, pipeline, lambda *_: bar.update())
    print("\n".join(verdict.report))
    print("verified" if verdict.same else "NOT verified")
    raise Exit(0 if verdict.same else 1)
