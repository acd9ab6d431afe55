"""The builder's list in every order."""

import numpy as np
import pytest

from xenp2m.model.builder import ORDERS, mfn_list


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("pages", [1, 2, 511, 512, 5000])
def test_every_order_holds_every_frame_once(order, pages):
    assert sorted(mfn_list(pages, 0x290D, order).tolist()) == list(range(0x290D, 0x290D + pages))


def test_orders():
    assert mfn_list(3, 0x290D, "descending").tolist() == [0x290F, 0x290E, 0x290D]
    scrambled = mfn_list(5000, 0, "scrambled", 7)
    assert (scrambled == mfn_list(5000, 0, "scrambled", 7)).all()
    assert (scrambled != mfn_list(5000, 0, "scrambled", 8)).any()
    steps = np.diff(scrambled)
    assert (np.abs(steps) != 1).sum() > 100
    assert (steps == 1).any()
    assert (steps == -1).any()
