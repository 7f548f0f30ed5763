"""Names of files and other foreign text in messages.

A file name may hold any bytes but '/' and 0. Printed raw, some of them change
the colours or the title of a terminal, hide what was printed before, or add a
line that looks like a message of the program.
"""

import logging
import os


def printable(text: object, keeps: str = '') -> str:
  """Returns text without characters that change the display of others.

  Control characters, line ends, invisible characters, marks of the direction of
  writing and bytes that are not UTF-8 are replaced by an escape, such as
  '\\x1b'. Letters of all scripts, spaces and symbols are unchanged.

  Args:
    text: Text, path or another object; its `str` is used.
    keeps: Characters that are not replaced, such as '\\n'.
  """
  if isinstance(text, bytes):
    text = os.fsdecode(text)
  return ''.join(
    c if c.isprintable() or c in keeps else ascii(c)[1:-1] for c in str(text)
  )


class Formatter(logging.Formatter):
  """Formats log messages, without characters that change the display."""

  def format(self, record: logging.LogRecord) -> str:
    return printable(super().format(record), keeps='\n\t')
