"""Zero-shot editing: a video's first and last frame are edited, and what lies between is made again."""
