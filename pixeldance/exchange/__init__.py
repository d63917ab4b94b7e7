"""Weights of other people's formats, in and out: diffusers' folders, AnimateDiff, ModelScope, diffusers' LoRAs."""
