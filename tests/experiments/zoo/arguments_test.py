"""Tests of the flags of scripts that check a trained run."""

import pytest

from experiments.zoo import arguments


def test_flags_and_their_defaults():
  parser = arguments.parser('What the script does.', num=64)
  args = parser.parse_args(['--workdir=runs/x'])
  assert (args.workdir, args.num) == ('runs/x', 64)
  several = arguments.parser('', num=64, several=True)
  args = several.parse_args(['--workdir', 'a', 'b', '--num=3'])
  assert (args.workdir, args.num) == (['a', 'b'], 3)


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['--num=3'], '--workdir'),
    (['--workdir=x', '--num=1'], '--num: 1 is less than 2'),
    (['--workdir=x', '--num=1.5'], "--num: invalid integer value: '1.5'"),
  ],
)
def test_errors_name_the_flag(words, message, capsys):
  parser = arguments.parser('', num=64, least=2)
  with pytest.raises(SystemExit) as ended:
    parser.parse_args(words)
  assert ended.value.code == 2
  assert message in capsys.readouterr().err
