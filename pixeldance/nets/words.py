"""What counts as a word, for those who write captions and for those who read them. Imports no torch."""

import re
import unicodedata

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def words(text: str) -> list[str]:
    """The words of a text in any script: lower case, letters and digits, with an apostrophe inside or none.

    "Counter-clockwise, it’s 3!" gives counter, clockwise, it's, 3.
    """
    return WORD.findall(unicodedata.normalize("NFKC", text).lower().replace("’", "'"))
