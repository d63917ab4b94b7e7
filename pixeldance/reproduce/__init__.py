"""The claims of PixelDance's paper (arXiv 2311.10982) as experiments with a threshold, and the one runner for them."""
