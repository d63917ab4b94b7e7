"""Questions whose arms are trained: three seeds each, toy size, equal steps, data and seeds.

Command:   python experiments/systems/trained.py NAME...     (again to go on; without names: which there are)
Cost:      100 steps of 32 clips take about a minute of one free core a seed and arm, pictures an eighth of that;
           the model of text to video is shared by most; make-a-video.text takes 400 steps. Of one core, three seeds:
           latent-video 1 minute, svd 4 (one model, 200 steps of 16), modelscope.longer 8
Question:  in the table below, with its threshold
Obtained:  results/systems/NAME.json where it was run; docs/systems.md says "not yet run" of the others
"""

import sys
from dataclasses import replace
from functools import partial

import torch
from common import TEXT_VIDEO, Arm, Model, Question, answer, base
from measures import colour_told, flicker, pictures_changed, prediction_error
from rates import MIDDLE, in_order, of_all_rates, told_rates

from pixeldance.systems.published import FROM_TEXT, Published
from pixeldance.training.freeze import only_time
from pixeldance.training.loop import Training
from pixeldance.training.sets import RandomSet

PICTURE_STEPS, TUNING_STEPS, RATED_STEPS = 20, 8, 200


def with_net(published: Published, **changes: object) -> Published:
    """The same system with other settings of its network."""
    return replace(published, system=replace(published.system, net=replace(published.system.net, **changes)))


def at_once(training: Training) -> Training:
    """The same training at the full rate from the first step on, which few steps want, and on few clips a step."""
    return replace(training, batch=8, warmup=0)


def trained(name: str) -> Model:
    return Model(name=name, published=base(name))


PICTURES = trained("text2video-zero")
ATTENTION_AND_CONVOLUTION = Arm(name="attention and convolution", model=TEXT_VIDEO)
LEADING = Model(
    name="flexible-diffusion-leading",
    published=replace(
        base("flexible-diffusion"), objective=replace(FROM_TEXT, also=RandomSet(kinds=("none", "leading")))
    ),
)
CRAFTER, MAKER = trained("dynamicrafter"), replace(trained("make-a-video"), steps=400)
CAPTIONED = replace(
    MAKER,
    name="make-a-video-captioned",
    published=replace(MAKER.published, objective=replace(MAKER.published.objective, video_text=True)),
)
STILLS = Model(
    name="latent-video-pictures", published=replace(TEXT_VIDEO.published, image_every=1), steps=PICTURE_STEPS
)
WHOLE = Model(
    name="latent-video-tuned-whole",
    published=replace(TEXT_VIDEO.published, image_every=0),
    steps=TUNING_STEPS,
    start=STILLS,
    recipe=at_once,
)
IN_TIME = replace(
    WHOLE,
    name="latent-video-tuned-in-time",
    published=replace(WHOLE.published, train=only_time(WHOLE.published.system.net)),
)
NUMBERLESS = trained("modelscope")
NUMBERED = replace(
    NUMBERLESS, name="modelscope-numbered", published=with_net(NUMBERLESS.published, temporal_positions="ends")
)
RATED = Model(name="svd-rated", published=told_rates(base("svd")), steps=RATED_STEPS, recipe=of_all_rates)
PREDICTION = "squared error of x0 on held-out clips"

QUESTIONS = {
    each.name: each
    for each in (
        Question(
            system="text2video-zero",
            claim="Attending to the first frame keeps the ground steadier than attending to oneself.",
            unit="change of the picture's corners from frame to frame",
            ours=Arm(name="first frame", model=PICTURES),
            theirs=Arm(name="own frame", model=PICTURES, sampled=with_net(PICTURES.published, keys="own")),
            measure=flicker,
            threshold=0.2,
        ),
        Question(
            system="latent-shift",
            claim="Shifted channels, without a parameter, are at most 5 % worse than attention and convolution.",
            unit=PREDICTION,
            ours=Arm(name="shift", model=trained("latent-shift")),
            theirs=ATTENTION_AND_CONVOLUTION,
            measure=prediction_error,
            threshold=-0.05,
        ),
        Question(
            system="magicvideo",
            claim="Directed attention with adaptors is at most 5 % worse than attention both ways and convolution.",
            unit=PREDICTION,
            ours=Arm(name="directed attention", model=trained("magicvideo")),
            theirs=ATTENTION_AND_CONVOLUTION,
            measure=prediction_error,
            threshold=-0.05,
        ),
        Question(
            system="flexible-diffusion",
            claim="Trained on random sets, a model fills the frames between two ends better than one trained to go on.",
            unit=PREDICTION + ", both ends given",
            ours=Arm(name="any set", model=trained("flexible-diffusion")),
            theirs=Arm(name="leading frames", model=LEADING),
            measure=partial(prediction_error, given=(0, 7)),
            threshold=0.05,
        ),
        Question(
            system="dynamicrafter",
            claim="A picture told as tokens too foretells the other frames better than one told as latents alone.",
            unit=PREDICTION + ", the first frame given",
            ours=Arm(name="tokens and latents", model=CRAFTER),
            theirs=Arm(
                name="latents",
                model=Model(name="dynamicrafter-latents", published=with_net(CRAFTER.published, image_tokens=0)),
            ),
            measure=partial(prediction_error, given=(0,)),
            threshold=0.02,
        ),
        Question(
            system="make-a-video",
            part="text",
            claim="With captions on stills alone, videos have the colour that was asked for at least 90 % as often.",
            unit="share of videos in the colour of their text",
            ours=Arm(name="stills captioned", model=MAKER),
            theirs=Arm(name="videos captioned too", model=CAPTIONED),
            measure=colour_told,
            threshold=-0.1,
            sign=1,
        ),
        Question(
            system="svd",
            claim="The frame rate that is asked for is obeyed: the lower it is, the further things go in a clip.",
            unit="share of pairs of rates at which things go further at the lower one",
            ours=Arm(name="told the rate", model=RATED),
            theirs=Arm(name="told one rate for all", model=RATED, measure=partial(in_order, told=MIDDLE)),
            measure=in_order,
            threshold=0.5,
            sign=1,
        ),
        Question(
            system="latent-video",
            claim="Tuned to videos in its layers over time alone, an image model makes its pictures as before, to the "
            "bit.",
            unit="share of pictures that are not the image model's to the bit",
            ours=Arm(name="layers over time", model=IN_TIME),
            theirs=Arm(name="all layers", model=WHOLE),
            measure=partial(pictures_changed, before=Arm(name="image model", model=STILLS).parts),
            threshold=0.999,
        ),
        Question(
            system="modelscope",
            part="longer",
            claim="Told no frame's number, a model is better on clips twice as long as those it was trained on.",
            unit=PREDICTION + " of 16 frames",
            ours=Arm(name="no numbers", model=NUMBERLESS),
            theirs=Arm(name="numbers", model=NUMBERED),
            measure=partial(prediction_error, frames=16),
            threshold=0.02,
        ),
    )
}

if __name__ == "__main__":
    names = sys.argv[1:]
    if not names or not set(names) <= set(QUESTIONS):
        sys.exit(f"got {names}; wanted some of {', '.join(QUESTIONS)}")
    torch.set_num_threads(1)
    for name in names:
        answer(QUESTIONS[name])
