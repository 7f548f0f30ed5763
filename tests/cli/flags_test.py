"""Tests of flags that are out of range or would have no effect."""

import pytest

from vgen_jax.cli import main as cli


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (
      ['train', '--config=demo', '--workdir=W', '--profile=5,2'],
      'the last step of --profile is 2; it must be at least 5',
    ),
    (
      ['train', '--config=demo', '--workdir=W', '--profile=0,2'],
      'the first step of --profile is 0; it must be at least 1',
    ),
    (
      ['train', '--config=demo', '--workdir=W', '--stop_at=-1'],
      '--stop_at is -1; it must be at least 0',
    ),
    (
      ['train', '--workdir=W', '--config.seed'],
      '--config.seed has no value; write --config.seed=VALUE',
    ),
    (
      ['train', '--config.seed', '--workdir=W'],
      '--config.seed has no value; write --config.seed=VALUE',
    ),
    (
      ['train', '--config=fsq_world:smoke', '--workdir=FILE'],
      'The workdir FILE is a file; it must be a directory.',
    ),
    *[
      (
        ['evaluate', '--workdir=W', '--set', f'evaluation.{field}=3'],
        f'config.evaluation.{field} has no effect here; use --{flag}.',
      )
      for field, flag in (
        ('metrics', 'metrics'),
        ('num_clips', 'num'),
        ('seed', 'seed'),
        ('batch_size', 'batch_size'),
      )
    ],
    (
      ['sample', '--workdir=W', '--config.evaluation.seed=3'],
      'config.evaluation.seed has no effect on samples; remove it.',
    ),
    (['demo', '--workdir=W', '--num=0'], '--num is 0; it must be at least 1'),
    (
      ['report', 'W', '--config.seed=3'],
      '--config.seed=3 has no effect, because vgen report reads no config',
    ),
    (
      ['configs', '--config.seed', '3'],
      '--config.seed=3 has no effect, because vgen configs reads no config',
    ),
    (
      ['data', 'prepare', 'video_folder', '--out=W', '--config.seed=3'],
      'has no effect, because vgen data prepare reads no config',
    ),
  ],
)
def test_a_flag_is_refused_before_anything_is_written(
  argv, message, capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'FILE').write_text('')
  assert cli.main(argv) == 1
  [line] = capsys.readouterr().err.splitlines()
  assert message in line
  assert [path.name for path in tmp_path.iterdir()] == ['FILE']
