"""The list of MFNs as the domain builder leaves it: ascending, descending, or scrambled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ORDERS", "mfn_list"]

ORDERS = ("ascending", "descending", "scrambled")
_LARGEST = 10
"""log2 of the largest piece of a scrambled list, 4 MiB."""


def mfn_list(pages: int, base: int, order: str, seed: int = 0) -> NDArray[np.int64]:
    """A builder's list.

    Args:
        pages: entries.
        base: lowest MFN; the list holds ``[base, base + pages)``, each once.
        order: ``ascending``; ``descending``, as Xen handed out frames in 2011; or ``scrambled``, as on
            a host where many guests came and went: pieces of 1 to 1024 frames, aligned to their size
            and most frames in large ones, in random order, each of them one way or the other.
        seed: of the scrambling; the same seed gives the same list.

    Returns:
        MFNs by PFN. O(pages).
    """
    whole = np.arange(base, base + pages, dtype=np.int64)
    if order == "ascending":
        return whole
    if order == "descending":
        return whole[::-1].copy()
    return base + _scrambled(pages, np.random.default_rng(seed))


def _scrambled(pages: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """``[0, pages)`` in shuffled pieces, some of them turned round."""
    starts, lengths = _pieces(pages, chance)
    order = chance.permutation(len(starts))
    starts, lengths = starts[order], lengths[order]
    turned = chance.random(len(starts)) < 0.5
    inside = np.arange(pages) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.where(turned, starts + lengths - 1, starts)
    step = np.where(turned, -1, 1)
    numbers: NDArray[np.int64] = np.repeat(first, lengths) + np.repeat(step, lengths) * inside
    return numbers


def _pieces(pages: int, chance: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut ``[0, pages)`` into blocks, and each block into equal pieces: their starts and lengths.

    A block holds at most a 16th of the list, and pieces of 2**k frames are 2**k times as likely.
    """
    largest = min(_LARGEST, max(0, pages.bit_length() - 5))
    chances = 2.0 ** np.arange(largest + 1)
    orders = chance.choice(largest + 1, -(-pages // (1 << largest)), p=chances / chances.sum())
    lengths = np.repeat(1 << orders, 1 << (largest - orders))
    starts = np.cumsum(lengths) - lengths
    inside = starts < pages
    return starts[inside], np.minimum(lengths[inside], pages - starts[inside])
