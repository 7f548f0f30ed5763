"""Small commands to interrupt, and digests of the files that they write."""

import hashlib
import json
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
QUICK = (
  '--config.mesh.data=1',
  '--config.tensorboard=False',
  '--config.log_every=1',
)
TRAIN = (
  *QUICK,
  '--config.num_steps=6',
  '--config.checkpoint_every=2',
  '--config.sample_every=3',
  '--config.evaluate_every=3',
  "--config.evaluation.metrics=('flicker',)",
  '--config.evaluation.num_clips=8',
  '--config.evaluation.batch_size=2',
)
EXPERIMENT = f"""
from vgen_jax.ablation.sweep import param

BASE = '{ROOT}/configs/convlstm_world.py:smoke'
SWEEP = param('seed', 0, 1)
ROWS = 'seed'
VALUE = 'again'


def MEASURE(run):
  return {{'again': float(run.sample(2).mean())}}
"""


class Task:
  """A command and the files that it writes.

  Attributes:
    name: Name of the command in the table.
  """

  def __init__(self, name: str, base: pathlib.Path, workers: int = 0):
    self.name = name
    self._kind = name.partition(' ')[0]
    self._base = base
    self._workers = workers

  def argv(self, folder: pathlib.Path) -> list[str]:
    """Returns the command, which writes to a folder."""
    run = f'--workdir={folder}/run'
    config = f'--config={ROOT}/configs/convlstm_world.py:smoke'
    tokenizer = f'--workdir={self._base}/tokenizer'
    commands = {
      'train': [
        'train', config, run, *TRAIN, f'--config.num_workers={self._workers}',
      ],
      'sample': [
        'sample', f'--workdir={self._base}/run', f'--out={folder}/run',
        '--num=12', '--batch_size=2',
      ],
      'evaluate': [
        'evaluate', run, '--metrics=flicker,diversity', '--num=16',
        '--batch_size=2', '--json',
      ],
      'prepare': [
        'data', 'prepare', 'shapes_world', f'--out={folder}/run',
        '--clip_shape=16,64,64,3', '--num_clips=60', '--num_threads=1',
      ],
      'encode': [
        'data', 'encode', tokenizer, f'--out={folder}/run', '--num=256',
        '--shard=16', '--batch=8',
      ],
      'ablate': [
        'ablate', f'--experiment={self._base}/experiment.py', run, *TRAIN,
        '--config.num_steps=2', '--config.sample_every=0', '--json',
      ],
    }  # fmt: skip
    return commands[self._kind]

  @property
  def needs_run(self) -> bool:
    """Whether the command works on a copy of a finished run."""
    return self._kind == 'evaluate'

  def is_done(self, log: pathlib.Path) -> bool:
    """Returns whether a repeated command has refused to do its work again."""
    last = log.read_text().splitlines()[-1:]
    return self._kind == 'prepare' and 'exists already' in ''.join(last)

  def results(self, folder: pathlib.Path) -> dict[str, str]:
    """Returns digests of all files and values that the command has written."""
    found = {}
    for file in sorted((folder / 'run').rglob('*')):
      name = str(file.relative_to(folder))
      if file.is_file() and not _is_private(name):
        found[name] = _digest(file)
    return found


def _is_private(name: str) -> bool:
  """Returns whether a file may differ: checkpoints are compared as arrays."""
  words = ('/checkpoints/', '.html', 'config.json', 'plot.png')
  words += ('/log.txt', '/starts.jsonl')  # They list all starts of the run.
  return any(word in name for word in words)


def _digest(file: pathlib.Path) -> str:
  """Returns a digest of a file, without dates and speeds."""
  content = file.read_bytes()
  if file.name == 'metrics.jsonl':
    lines = [json.loads(line) for line in content.splitlines()]
    # A run that was stopped logs the step of its checkpoint, too.
    content = _text([_without_speed(line) for line in lines])
  elif file.suffix == '.json' and file.parent.name == 'evaluation':
    entry = json.loads(content)
    content = _text([entry['metrics'], entry['protocol']])
  return hashlib.sha256(content).hexdigest()[:16]


def _without_speed(line: dict) -> dict:
  ends = ('per_second', 'mfu', 'checksum')
  return {
    k: x
    for k, x in line.items()
    if not (k.endswith(ends) or k.startswith('seconds/'))
  }


def _text(value: object) -> bytes:
  return json.dumps(value, sort_keys=True).encode()
