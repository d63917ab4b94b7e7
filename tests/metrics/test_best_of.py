"""`generate --best-of` and `--until`: which seed is kept, what the receipt says, and that it can be made again."""

from pathlib import Path

import pytest
from command import TEXT, Run, listing

from pixeldance.metrics.choose import RULE, condition, rank
from pixeldance.receipt import read_receipt
from pixeldance.video import frames_sha256, read_video


@pytest.fixture
def ask(here: Path, tiny_model: Path) -> list[object]:
    return ["generate", TEXT, "--first", "a.png", "--last", "b.png", "--model", tiny_model, "--steps", 2]


def test_the_best_of_four_is_kept_and_all_are_told(here: Path, ask: list[object], run: Run):
    code, out, err = run(*ask, "--seed", 5, "--best-of", 4, "-o", "best.mkv")
    assert (code, err) == (0, "")
    receipt = read_receipt(Path("best.json"))
    choice = receipt.choice
    assert choice is not None
    assert (choice.rule, choice.until, choice.met) == (RULE, None, None)
    assert [each.seed for each in choice.tries] == [5, 6, 7, 8]
    best = min(choice.tries, key=lambda each: (*rank(each.meter), each.seed))
    assert (receipt.request.seed, receipt.meter) == (best.seed, best.meter)
    assert f"seed {best.seed} of 5 to 8," in out
    assert len({rank(each.meter) for each in choice.tries}) > 1  # there was something to choose
    # Each try is what its seed alone gives, and so is the one that was kept.
    for tried in choice.tries:
        assert run(*ask, "--seed", tried.seed, "-o", f"{tried.seed}.mkv")[0] == 0
        alone = read_receipt(Path(f"{tried.seed}.json"))
        assert (alone.meter, alone.choice) == (tried.meter, None)
    assert frames_sha256(read_video("best.mkv")[0]) == read_receipt(Path(f"{best.seed}.json")).frames_sha256
    code, out, _ = run("verify", "best.json")
    assert (code, out.splitlines()[-1]) == (0, "verified")


def test_several_clips_have_tries_of_their_own_for_any_number_of_workers(here: Path, ask: list[object], run: Run):
    for name, workers in (("one", 1), ("two", 2)):
        more = ["--seed", 0, "--best-of", 3, "--count", 2, "--workers", workers, "-o", f"{name}.mkv"]
        assert run(*ask, *more)[0] == 0
    for number, seeds in ((1, [0, 1, 2]), (2, [3, 4, 5])):
        one, two = (read_receipt(Path(f"{name}-{number}.json")) for name in ("one", "two"))
        assert one.choice == two.choice
        assert (one.request, one.frames_sha256) == (two.request, two.frames_sha256)
        assert one.choice is not None
        assert [each.seed for each in one.choice.tries] == seeds
        assert one.request.seed in seeds


def test_until_stops_at_the_first_that_will_do(here: Path, ask: list[object], run: Run):
    assert run(*ask, "--seed", 0, "--best-of", 6, "-o", "all.mkv")[0] == 0
    everything = read_receipt(Path("all.json")).choice
    assert everything is not None
    jumps = [each.meter["end_jump"] for each in everything.tries]
    third = min(jumps[2:])
    wanted = condition(f"end_jump<={third}")
    place = next(i for i, jump in enumerate(jumps) if jump <= third)
    code, _, err = run(*ask, "--seed", 0, "--until", str(wanted), "--tries", 6, "-o", "until.mkv")
    assert (code, err) == (0, "")
    receipt = read_receipt(Path("until.json"))
    assert receipt.choice is not None
    assert (receipt.choice.until, receipt.choice.met) == (str(wanted), True)
    assert receipt.choice.tries == everything.tries[: place + 1]
    assert receipt.request.seed == place  # it met the condition, whatever faults the others lack


def test_until_keeps_the_best_where_none_will_do(here: Path, ask: list[object], run: Run):
    code, _, err = run(*ask, "--seed", 0, "--until", "first_psnr>=101", "--tries", 3, "-o", "until.mkv")
    assert code == 1
    assert err == "until.mkv: none of 3 tries has first_psnr>=101; the best is kept\n"
    receipt = read_receipt(Path("until.json"))
    assert receipt.choice is not None
    assert receipt.choice.met is False
    assert len(receipt.choice.tries) == 3
    assert receipt.request.seed == min(receipt.choice.tries, key=lambda each: (*rank(each.meter), each.seed)).seed
    assert run("verify", "until.json")[0] == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--best-of", 2, "--until", "cuts<1"], "give one of them"),
        (["--tries", 2], "without --until"),
        (["--until", "cuts<1", "--workers", 2], "one try after the other"),
        (["--until", "beauty>1"], "got the reading 'beauty'"),
        (["--until", "landing>0.5"], "give --last"),
        (["--best-of", 2, "--seed", 2**32 - 1], "of 2 tries; wanted all seeds below 2^32"),
        (["--best-of", 1], "wanted a whole number from 2"),
    ],
)
def test_what_cannot_be_chosen_is_told(here: Path, tiny_model: Path, run: Run, more: list[object], says: str):
    code, _, err = run("generate", TEXT, "--first", "a.png", "--model", tiny_model, *more, "-o", "out.mkv")
    assert code == 2
    assert says in err
    assert set(listing(here)) == {"a.png", "b.png"}


def test_a_single_frame_is_nothing_to_choose_from(here: Path, tiny_model: Path, run: Run):
    code, _, err = run("generate", TEXT, "--model", tiny_model, "--frames", 1, "--best-of", 2, "-o", "out.mkv")
    assert (code, "wanted --frames 2 or more" in err) == (2, True)
