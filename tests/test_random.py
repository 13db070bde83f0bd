"""Counters, keys and masks: the same bits on every target, and bits that look random."""

import math

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpnn.arrays import seeds as seeds_of_epochs
from xpnn.arrays.seeds import AHEAD, seed_words
from xpnn.random import (
    SHUFFLE,
    SPLIT,
    WEIGHTS,
    dropout_mask,
    host_generator,
    keep_count,
    step_keys,
    threefry_2x32,
)

ONES = oracle.ONES
PUBLISHED = [  # key, counter, words: the known answers of Random123
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]
KEYS = [key for key, _, _ in PUBLISHED] + [(0x80000000, 0x7FFFFFFF), (1, ONES)]


def counters(target, values):
    """Counters as a step makes them: int64 on torch, uint32 elsewhere."""
    word = "int64" if target.backend.library.name == "torch" else "uint32"
    return target.asarray(np.asarray(values, dtype=word))


def traced_key(target, key):
    """A key as 0-d uint32 arrays, which a compiled step takes (int64 on torch)."""
    return tuple(counters(target, word)[...] for word in key)


@pytest.mark.parametrize(("key", "counter", "words"), PUBLISHED)
def test_published_answers_with_integers(key, counter, words):
    assert oracle.threefry(key, counter) == words
    assert threefry_2x32(key, *counter) == words


@pytest.mark.parametrize("as_arrays", [False, True], ids=["int key", "array key"])
def test_published_answers_on_every_target(target_any, as_arrays):
    for key, counter, words in PUBLISHED:
        x0, x1 = (counters(target_any, [c]) for c in counter)
        k = traced_key(target_any, key) if as_arrays else key
        with np.errstate(over="ignore"):  # 0-d uint32 wraps, as it should
            found = threefry_2x32(k, x0, x1, target_any.xp)
        for word, expected in zip(found, words, strict=True):
            assert word.dtype == x0.dtype
            assert target_any.to_numpy(word).tolist() == [expected]
        assert target_any.to_numpy(x0).tolist() == [counter[0]]  # the input is as it was


@given(*[st.integers(0, ONES)] * 4)
def test_equals_an_independent_implementation(k0, k1, x0, x1):
    assert threefry_2x32((k0, k1), x0, x1) == oracle.threefry((k0, k1), (x0, x1))


@pytest.mark.targets("jax:cpu", "jax:cuda")
@pytest.mark.dtypes("float32")
def test_equals_jax(target_any):
    import jax
    from jax.extend.random import threefry_2x32 as theirs

    x0, x1 = np.random.default_rng(0).integers(0, 2**32, (2, 50), dtype=np.uint32)
    for key in KEYS:
        expected = theirs(np.asarray(key, np.uint32), jax.numpy.asarray(np.concatenate([x0, x1])))
        found = threefry_2x32(key, target_any.asarray(x0), target_any.asarray(x1), target_any.xp)
        assert np.concatenate([target_any.to_numpy(w) for w in found]).tolist() == expected.tolist()


def test_step_keys_are_threefry_of_step_and_layer():
    seed = 0x0123456789ABCDEF
    keys = step_keys(seed, 5, 3, 4)
    assert keys.shape == (3, 4, 2)
    assert keys.dtype == np.uint32
    for step in range(3):
        for layer in range(4):
            expected = oracle.threefry((0x01234567, 0x89ABCDEF), (5 + step, layer))
            assert tuple(keys[step, layer].tolist()) == expected


def test_step_keys_go_on_where_they_stopped_and_know_all_64_bits():
    whole = step_keys(7, 0, 10, 3)
    np.testing.assert_array_equal(whole[4:], step_keys(7, 4, 6, 3))
    assert len({tuple(k) for k in whole.reshape(-1, 2).tolist()}) == 30
    assert (step_keys(7 | 1 << 63, 0, 10, 3) != whole).all(axis=2).all()
    top = 2**64 - 1
    assert step_keys(top, 2**32 - 1, 1, 1)[0, 0].tolist() == list(
        oracle.threefry((ONES, ONES), (ONES, 0))
    )


@pytest.mark.parametrize(
    ("shape", "rate"),
    [((1, 1), 0.5), ((5, 7), 0.1), ((3, 4), 1 - 2.0**-20), ((2, 9), 0.0), ((0, 3), 0.5)],
)
def test_mask_is_the_same_bits_everywhere(target, shape, rate):
    key, first_row = (0x9E3779B9, 0xFFFFFFFE), 3
    mask = dropout_mask(key, first_row, shape, rate, target.dtype, target.xp, target.device)
    target.assert_here(mask)
    expected = oracle.mask(key, first_row, *shape, rate)
    assert tuple(mask.shape) == shape
    np.testing.assert_array_equal(target.to_numpy(mask), expected.astype(target.dtype_name))


def test_mask_of_array_keys_is_the_same(target_any):
    t = target_any
    key = (0x9E3779B9, 0x85EBCA6B)
    expected = dropout_mask(key, 0, (6, 10), 0.3, t.dtype, t.xp, t.device)
    with np.errstate(over="ignore"):
        mask = dropout_mask(traced_key(t, key), 0, (6, 10), 0.3, t.dtype, t.xp, t.device)
    np.testing.assert_array_equal(t.to_numpy(mask), t.to_numpy(expected))


def test_shards_draw_what_the_whole_draws(target_any):
    t, key = target_any, (11, 22)
    draw = [(0, 13), (0, 4), (4, 1), (5, 8)]  # the whole, then its shards
    whole, *shards = [
        t.to_numpy(dropout_mask(key, first, (rows, 6), 0.4, t.dtype, t.xp, t.device))
        for first, rows in draw
    ]
    np.testing.assert_array_equal(np.concatenate(shards), whole)
    narrow = t.to_numpy(dropout_mask(key, 0, (13, 3), 0.4, t.dtype, t.xp, t.device))
    np.testing.assert_array_equal(narrow, whole[:, :3])  # a unit's draw knows no other unit


def numpy_mask(key, rows, units, rate=0.5):
    return dropout_mask(key, 0, (rows, units), rate, np.float64, np, None)


def test_kept_count_law():
    assert [keep_count(rate) for rate in (0.0, 0.25, 0.5, 1 - 1e-9)] == [65536, 49152, 32768, 1]
    for rate in (0.1, 1 / 3, 0.7, 0.99):
        kept = keep_count(rate) / 65536
        assert kept == pytest.approx(1 - rate, abs=2.0**-17)
        mask = numpy_mask((1, 2), 500, 400, rate)
        values = np.unique(mask)
        assert values.tolist() == [0.0, 1 / kept]
        deviation = abs((mask > 0).mean() - kept) / math.sqrt(kept * (1 - kept) / mask.size)
        assert deviation < 4
    assert (numpy_mask((1, 2), 50, 40, 0.0) == 1.0).all()


def test_draws_are_uniform():
    rows, groups = np.arange(4096, dtype=np.uint32), np.arange(8, dtype=np.uint32)
    for key in KEYS:
        a, b = threefry_2x32(key, rows[:, None], groups[None, :])
        for draws in (a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16):
            counts = np.bincount(draws.ravel() >> 8, minlength=256)
            expected = draws.size / 256
            chi_square = ((counts - expected) ** 2 / expected).sum()  # mean 255, spread 22.6
            assert 255 - 5 * 22.6 < chi_square < 255 + 5 * 22.6


def correlation(a, b):
    """In units of its spread under independence."""
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    return abs((a * b).sum()) / math.sqrt((a * a).sum() * (b * b).sum()) * math.sqrt(a.size)


def test_rows_units_steps_layers_and_seeds_are_independent():
    keys = step_keys(3, 0, 4, 3)
    masks = {
        (step, layer): numpy_mask(tuple(keys[step, layer].tolist()), 256, 256)
        for step in range(4)
        for layer in range(3)
    }
    here = masks[0, 0]
    other_seed = numpy_mask(tuple(step_keys(4, 0, 1, 1)[0, 0].tolist()), 256, 256)
    pairs = [(here, other_seed)]
    pairs += [(here, masks[step, 0]) for step in (1, 2, 3)]
    pairs += [(here, masks[0, layer]) for layer in (1, 2)] + [(masks[1, 0], masks[0, 1])]
    pairs += [(here[:-k], here[k:]) for k in (1, 2, 4, 64, 128)]  # rows
    pairs += [(here[:, :-k], here[:, k:]) for k in (1, 2, 3, 4, 8, 128)]  # units
    pairs += [(here, here.T)]
    assert max(correlation(a, b) for a, b in pairs) < 4.5
    lags = [(here[:, i], here[:, j]) for i in range(16) for j in range(i)]
    assert max(correlation(a, b) for a, b in lags) < 4.5


def test_host_generator_is_a_pure_function_of_its_arguments():
    def draw(*args):
        return host_generator(*args).integers(0, 2**63, 4).tolist()

    assert draw(5, SHUFFLE, 2) == draw(5, SHUFFLE, 2)
    seeds = (6, 5 | 1 << 40, 2**64 - 1)
    others = [(5, SHUFFLE, 3), (5, SPLIT, 2), (5, WEIGHTS, 2), *((s, SHUFFLE, 2) for s in seeds)]
    different = [draw(*args) for args in [(5, SHUFFLE, 2), *others]]
    assert len({tuple(d) for d in different}) == len(different)


@pytest.mark.parametrize("member", [0, 3])
@pytest.mark.parametrize("seed", [0, 7, 2**32, 2**64 - 1])
@pytest.mark.parametrize("index", [0, 1, AHEAD - 1, AHEAD, 10**6, 2**32 - 1])
def test_host_generator_is_seeded_as_numpy_says(seed, index, member):
    words = [seed & 0xFFFFFFFF, seed >> 32, SHUFFLE, index, *([member] if member else [])]
    known = np.random.Generator(np.random.PCG64(words))
    found = host_generator(seed, SHUFFLE, index, member)
    assert found.permutation(50).tolist() == known.permutation(50).tolist()


@given(st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=5))
def test_seeds_of_many_generators_are_those_of_seed_sequences(words):
    found = seed_words(np.array([words, words[::-1]], dtype=np.uint32).T)
    for row, entropy in zip(found, (words, words[::-1]), strict=True):
        known = np.random.SeedSequence(entropy).generate_state(4, np.uint64)
        assert row.tolist() == known.tolist()


def test_orders_of_many_members_are_seeded_for_many_epochs_at_once():
    made = seeds_of_epochs._block.cache_info().misses
    for epoch in (1, 2, 3):
        for member in range(300):
            host_generator(11, SHUFFLE, epoch, member)
    assert seeds_of_epochs._block.cache_info().misses - made == 300
