"""`pixeldance export`: a checkpoint as a folder that other software opens."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pixeldance.cli import ask


def export(
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Where to.")],
    model: Annotated[
        Path | None, Argument(metavar="MODEL", help="A checkpoint; without one, the model that ships.")
    ] = None,
    form: Annotated[
        str,
        Option(
            "--format",
            parser=ask.one_of("diffusers", "peft"),
            metavar="diffusers|peft",
            help="Whose form; peft's is ours, of LoRAs only.",
        ),
    ] = "diffusers",
    lora: Annotated[
        Path | None, Option(metavar="DIR", help="Write this LoRA of the model instead, by diffusers' names or peft's.")
    ] = None,
    force: Annotated[bool, Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a model in the form of diffusers, with a pipeline.py and a model card.

    Stock DiffusionPipeline.from_pretrained(DIR, custom_pipeline=DIR, trust_remote_code=True) opens it. With --lora, a
    LoRA in one form becomes one in the other: pytorch_lora_weights.safetensors, or a folder for `generate --lora`.
    """
    if form == "peft" and lora is None:
        raise ValueError("got --format peft without --lora; only LoRAs have that form")

    from pixeldance import adapter
    from pixeldance.exchange import lora as exchanged
    from pixeldance.exchange.export import export as write
    from pixeldance.pipeline import load

    pipeline = load(model)
    if lora is None:
        write(pipeline, out, overwrite=force)
    else:
        theirs = (lora / exchanged.FILE).is_file()
        read = exchanged.read(lora, pipeline.system) if theirs else adapter.load(lora)
        # Theirs does not say whose it is; whoever names the model says it.
        adapter.apply(pipeline.parts, read, base=pipeline.model_hash, name="default", any_base=theirs)
        if form == "peft":
            adapter.save(out, pipeline.parts, base=pipeline.model_hash)
        else:
            exchanged.write(out, pipeline.parts, overwrite=force)
    print(out)
