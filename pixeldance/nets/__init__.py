"""The networks: denoisers, autoencoders and text encoders. Imports torch only."""
