"""Tests of code_model.py: checks of known codes and their mask."""

import jax.numpy as jnp
import pytest

from vgen_jax.families.codes import masked
from vgen_jax.models import maskgit

MODEL = masked.Masked((2, 2, 2, 1), maskgit.MaskGIT(5, 8, 1, 2))
CODES = jnp.arange(8).reshape(1, 2, 2, 2) % 5
KNOWN = jnp.ones((1, 2, 2, 2), bool)


def known(codes, mask):
  return MODEL.known_codes({'known_codes': codes, 'known': mask}, len(codes))


def test_codes_and_masks_are_accepted():
  codes, mask = known(CODES, KNOWN)
  assert (codes == CODES).all()
  assert mask.all()
  unknown = CODES.at[0, 0, 0, 0].set(5)  # Not a code, but unknown.
  known(unknown, KNOWN.at[0, 0, 0, 0].set(False))


@pytest.mark.parametrize(
  ('codes', 'mask', 'match'),
  [
    (CODES, KNOWN.astype(int), r"'known'\] is int32; it must be bool"),
    (CODES, KNOWN.astype(float), "'known'.* is float32"),
    (CODES + 0.0, KNOWN, "'known_codes'.* is float32; it must be int32"),
    (CODES + 3, KNOWN, 'has a known code 5; codes are 0 to 4'),
    (CODES - 1, KNOWN, 'has a known code -1'),
    (CODES, KNOWN[:, :1], r"'known'\] has shape \(1, 1, 2, 2\)"),
  ],
)
def test_wrong_codes_and_masks_are_errors(codes, mask, match):
  with pytest.raises(ValueError, match=match):
    known(codes, mask)
