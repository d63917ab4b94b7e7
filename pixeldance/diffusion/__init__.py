"""The mathematics of diffusion: processes, noise, denoisers, guidance, samplers. Imports torch only."""
