"""Tests of `vgen configs`."""

import json
import pathlib

import pytest

from vgen_jax.cli import main as cli
from vgen_jax.config import shipped

ROOT = pathlib.Path(__file__).parents[2]


def test_the_list_has_sizes_and_needs(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert cli.main(['configs']) == 0
  text = capsys.readouterr().out
  entry = text[text.index('dit_world: ') :].split('\n')[:3]
  assert entry == [
    'dit_world: Flow matching with a video DiT, on a synthetic dataset.',
    '  sizes: base, S, B, L, XL, small, smoke',
    '  needs: an accelerator (GPU or TPU) for base, S, B, L, XL',
  ]
  assert cli.main(['configs', '--json']) == 0
  found = json.loads(capsys.readouterr().out)['configs']
  assert set(found) == set(shipped.configs())
  assert found['demo'] == {'sizes': ['base', 'smoke'], 'needs': []}
  assert found['videogpt_world']['needs'] == [
    'a trained tokenizer: vgen train --config=fsq_world'
    ' --workdir=runs/fsq_world'
  ]
  assert 'config.data.folder' in ' '.join(found['dit_video_folder']['needs'])


def test_copies_are_written_once(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert cli.main(['configs', 'copy', 'demo']) == 0
  assert cli.main(['configs', 'copy', 'demo', 'a/b']) == 0
  assert '--config=a/b/demo.py' in capsys.readouterr().out
  original = (ROOT / 'configs/demo.py').read_bytes()
  for copied in (tmp_path / 'demo.py', tmp_path / 'a/b/demo.py'):
    assert copied.read_bytes() == original
  (tmp_path / 'demo.py').write_text('mine')
  assert cli.main(['configs', 'copy', 'demo']) == 1
  assert 'demo.py exists already' in capsys.readouterr().err
  assert (tmp_path / 'demo.py').read_text() == 'mine'


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (['cpoy', 'demo'], "Did you mean 'copy'?"),
    (['copy'], 'has no NAME; give the name'),
    (['copy', 'dmo'], "Did you mean 'demo'?"),
    (['list', 'demo'], "'demo' is given; remove it"),
  ],
)
def test_errors_are_one_line(argv, message, capsys):
  assert cli.main(['configs', *argv]) == 1
  error = capsys.readouterr().err.strip()
  assert message in error
  assert len(error.splitlines()) == 1
