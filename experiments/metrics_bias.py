"""How the Fréchet distance depends on the number of samples, and the kernel distance does not: a table and a plot.

Command:   python experiments/metrics_bias.py -o bias.png    (needs matplotlib; without -o only the table)
Cost:      4 seconds of one core
Expected:  two Gaussians one apart (d = 1): the Fréchet distance falls towards 1 about as bias / N, the line through
           1 / N meets the axis near 1, and the kernel distance has the same mean at every N
Obtained:  N           128     256     512     1024    2048    4096    endless (line from 512 on)
           Fréchet     18.3    10.0    5.39    3.20    2.05    1.52    0.964
           kernel      0.046   0.051   0.048   0.050
           So a distance of 18 says that 128 samples were used, and hardly anything else.

The features are Gaussian, of 64 dimensions, so that the truth is known: no network and no video takes part.
"""

import argparse
from pathlib import Path

import numpy as np

from pixeldance.metrics.frechet import at_infinity, frechet_curve
from pixeldance.metrics.kernel import kernel_distance_of_subsets

COUNTS = (128, 256, 512, 1024, 2048, 4096)
WIDTH = 64


def main() -> None:
    """Print the table, and draw it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, help="the plot, a .png")
    out = parser.parse_args().out
    rng = np.random.default_rng(0)
    real, made = rng.standard_normal((2, 10_000, WIDTH))
    made += 1 / np.sqrt(WIDTH)
    curve = frechet_curve(real, made, COUNTS, rng)
    kernel = [kernel_distance_of_subsets(real, made, rng, subsets=20, size=count) for count in COUNTS[:4]]
    distance, bias = at_infinity(curve[2:])
    print("N        Fréchet          kernel")
    for number, point in enumerate(curve):
        told = "{:.4f} ± {:.4f}".format(*kernel[number]) if number < len(kernel) else ""
        print(f"{point.count:<6}   {point.mean:.3f} ± {point.deviation:.3f}   {told}")
    print(f"at infinity, from N = {curve[2].count} on: {distance:.3f} (truth 1), bias {bias:.0f} / N")
    if out is None:
        return
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise SystemExit("the plot needs matplotlib: pip install matplotlib; or leave out -o") from None
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    inverse = np.array([1 / point.count for point in curve])
    axes.errorbar(
        inverse, [point.mean for point in curve], [point.deviation for point in curve], fmt="o", label="drawn"
    )
    axes.plot([0, inverse[0]], [distance, distance + bias * inverse[0]], label="line through N of 512 and more")
    axes.axhline(1, color="grey", linestyle=":", label="truth")
    axes.set(xlabel="1 / N", ylabel="Fréchet distance", xlim=(0, None))
    axes.legend()
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
