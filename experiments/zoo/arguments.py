"""Flags of the scripts that check a trained run."""

import argparse


def parser(
  description: str, num: int, least: int = 1, several: bool = False
) -> argparse.ArgumentParser:
  """Returns a parser with the flags --workdir and --num.

  Args:
    description: Docstring of the script.
    num: Default of --num, the number of clips.
    least: Smallest number of clips.
    several: Whether --workdir accepts several workdirs, which are a list then.
  """
  result = argparse.ArgumentParser(
    description=description,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  if several:
    result.add_argument(
      '--workdir', required=True, nargs='+', help='Workdirs of runs.'
    )
  else:
    result.add_argument('--workdir', required=True, help='Workdir of the run.')

  def integer(text: str) -> int:
    value = int(text)
    if value < least:
      raise argparse.ArgumentTypeError(f'{value} is less than {least}')
    return value

  result.add_argument(
    '--num', type=integer, default=num, help='Number of clips.'
  )
  return result
