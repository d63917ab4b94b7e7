"""Films of many shots: a story is read, planned as calls of the model, rendered call by call and put together."""
