"""Checks of arguments, and hints for their error messages."""

import difflib


def hint(word: str, known: list[str]) -> str:
  """Returns ' Did you mean ...?' or, if nothing is near, what there is."""
  by_lower = {name.lower(): name for name in known}
  close = difflib.get_close_matches(word.lower(), by_lower, n=1)
  if not close:
    return f' It has {known}.'
  return f' Did you mean {by_lower[close[0]]!r}?'
