"""Pretrained pipelines of diffusers behind the calls that a model of ours answers: pictures, tau, cancel."""
