"""Makes one page of what evaluations of runs found, for any browser.

  vgen report runs/dit runs/mocogan --out=report.html

Of one run it shows metrics with their intervals, clips beside real ones, and
curves; several it compares, clips of one seed side by side. The page is one
file that needs no other and no network.
"""

import argparse
import json

from etils import epath

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import page
from vgen_jax.runtime import writers


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    'runs', nargs='+', metavar='RUN', help='Workdirs of evaluated runs.'
  )
  parser.add_argument(
    '--step', type=int, default=None, help='That was evaluated; else the last.'
  )
  parser.add_argument('--out', default='report.html', help='File to write.')


def run(args: argparse.Namespace) -> int:
  found = [results.read(workdir, args.step) for workdir in args.runs]
  html = page.render(
    found,
    [
      results.read_clips(workdir, result)
      for workdir, result in zip(args.runs, found, strict=True)
    ],
    [writers.read_metrics(workdir) for workdir in args.runs],
  )
  out = epath.Path(args.out)
  out.parent.mkdir(parents=True, exist_ok=True)
  out.write_bytes(html.encode())
  runs = [{'run': result.run, 'step': result.step} for result in found]
  print(json.dumps({'report': {'path': str(out), 'runs': runs}}))
  return 0
