"""Captioned videos to train on and to measure with."""
