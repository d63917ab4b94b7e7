"""The model behind HTTP: a store of jobs, processes that work them off, and the dialects that clients speak."""
