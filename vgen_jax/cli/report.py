"""Writes a page with the evaluations of one or several runs.

  vgen report runs/dit runs/mocogan --out=report.html
  vgen report runs/dit/evaluation/4_64clips_*.json

For one run, the page shows metrics with their intervals, generated clips next
to real ones, and training curves. Several runs are compared, with clips of the
same seed side by side. The page is one file that needs no network.
"""

import argparse
import json

from vgen_jax.core import atomic_files
from vgen_jax.core import file_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    'runs',
    type=file_paths.argument,
    nargs='+',
    metavar='RUN',
    help='Directories of evaluated runs, or .json files of evaluations. A'
    ' directory selects its latest evaluation.',
  )
  parser.add_argument(
    '--step',
    type=int,
    default=None,
    help='Checkpoint step to report (default: the latest evaluated step).',
  )
  parser.add_argument(
    '--out',
    type=file_paths.argument,
    default='report.html',
    help='File to write.',
  )


def run(args: argparse.Namespace) -> int:

  from vgen_jax.evaluation.metrics import results
  from vgen_jax.evaluation.report import page
  from vgen_jax.runtime import writers

  found = [results.read(workdir, args.step) for workdir in args.runs]
  html = page.render(
    found,
    [
      results.read_clips(workdir, result)
      for workdir, result in zip(args.runs, found, strict=True)
    ],
    [writers.read_metrics(str(results.run_folder(x))) for x in args.runs],
  )
  out = file_paths.read(args.out)
  out.parent.mkdir(parents=True, exist_ok=True)
  atomic_files.write_bytes(out, html.encode())
  runs = [{'run': result.run, 'step': result.step} for result in found]
  print(json.dumps({'report': {'path': str(out), 'runs': runs}}))
  return 0
