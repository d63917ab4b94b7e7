"""A database that is away for a while: whoever asks it again and again says so and goes on asking."""

import sys
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

PAUSE = 1.0  # seconds before it is asked again


def tried(call: Callable[[], object], over: threading.Event) -> bool:
    """Whether a call came through. Where the database fails it, a line on stderr says so, and there is a pause until it
    may be made again or all is over."""
    try:
        call()
    except SQLAlchemyError as error:  # whose own text may hold what clients asked for
        said = (str(error.__cause__ or "").strip() or type(error).__name__).splitlines()[0]
        print(f"the jobs' database does not answer, it is asked again: {said}", file=sys.stderr, flush=True)
        over.wait(PAUSE)
        return False
    return True
