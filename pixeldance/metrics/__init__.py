"""Measures of generated video, and the reports made of them."""
