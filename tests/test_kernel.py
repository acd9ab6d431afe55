"""Every version edge: the last version before it, and the first one after."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xenp2m.errors import InputError, UnsupportedError
from xenp2m.kernel import NEWEST, OLDEST, Release, Version

EDGES = {
    "era": [
        ("2.6.39", "g1"), ("3.0", "g1-3.0"), ("3.0.3", "g1-3.0"), ("3.0.4", "g1-3.1"), ("3.1", "g1-3.1"), ("3.2", "g1b"), ("3.4.113", "g1b"), ("3.5", "g2"),
        ("3.15.10", "g2"), ("3.16", "g2-3.16"), ("3.17.8", "g2-3.16"), ("3.18", "g2r"), ("3.19", "g3a"),
        ("4.2.8", "g3a"), ("4.3", "g3"), ("7.3.4", "g3"),
    ],
    "p2m": [
        ("2.6.39", "2.6.39"), ("3.4", "2.6.39"), ("3.5", "3.6"), ("3.6.11", "3.6"), ("3.7", "3.12"),
        ("3.15", "3.12"), ("3.16", "3.16"), ("3.18", "3.18"), ("3.19", "linear-5.10"), ("5.11.4", "linear-5.12"),
        ("5.12", "linear-5.12"), ("5.10.67", "linear"), ("5.15", "linear"), ("7.3.4", "linear"),
    ],
    "unusable": [("3.10", "hole"), ("3.11", "ram"), ("7.3.4", "ram")],
    "fill": [("2.6.39", "aligned"), ("7.3.4", "aligned")],
    "leftover": [
        ("4.3", "discard"), ("4.14.336", "discard"), ("4.15", "unusable"), ("4.18.20", "unusable"),
        ("4.19", "unusable"), ("4.19.9", "unusable"), ("4.19.10", "discard"), ("4.20", "discard"), ("7.3.4", "discard"),
    ],
    "nvs": [
        ("4.3", "conflict"), ("5.10.262", "conflict"), ("6.1.176", "conflict"),
        ("6.6.53", "conflict"), ("6.6.54", "swap-offset-fault"), ("6.6.141", "swap-offset-fault"), ("6.6.142", "swap"),
        ("6.7.12", "conflict"), ("6.9.12", "conflict"),
        ("6.10.12", "conflict"), ("6.10.13", "swap-offset-fault"), ("6.11.1", "conflict"), ("6.11.2", "swap-offset-fault"),
        ("6.12", "swap-offset-fault"), ("6.12.91", "swap-offset-fault"), ("6.12.92", "swap"),
        ("6.13.12", "swap-offset-fault"), ("6.17.99", "swap-offset-fault"), ("6.18.33", "swap-offset-fault"),
        ("6.18.34", "swap"), ("6.19.99", "swap-offset-fault"), ("7.0.10", "swap-offset-fault"), ("7.0.11", "swap"),
        ("7.1", "swap"), ("7.3.4", "swap"),
    ],
    "nvs_scan": [("6.12.107", "next"), ("6.18.34", "next"), ("7.0.99", "next"), ("7.1", "first"), ("7.3.4", "first")],
    "checks": [
        ("6.1.176", "late"), ("6.6.53", "late"), ("6.6.54", "early"), ("6.7.12", "late"), ("6.10.12", "late"),
        ("6.10.13", "early"), ("6.11.1", "late"), ("6.11.2", "early"), ("6.12", "early"), ("7.3.4", "early"),
    ],
    "list_end": [
        ("4.3", "entry"), ("5.4.300", "entry"), ("5.10.66", "entry"), ("5.10.67", "page"), ("5.11.22", "entry"),
        ("5.13.19", "entry"), ("5.14.5", "entry"), ("5.14.6", "page"), ("5.15", "page"), ("7.3.4", "page"),
    ],
    "beyond": [
        ("4.3", "bugs"), ("5.9.16", "bugs"), ("5.10.20", "bugs"), ("5.10.21", "fails"), ("5.11.3", "bugs"),
        ("5.11.4", "fails"), ("5.12", "fails"), ("7.3.4", "fails"),
    ],
    "ibft": [("6.1.176", False), ("6.4.16", False), ("6.5", True), ("7.3.4", True)],
    "e820_entries": [("4.2.8", 320), ("4.3", 3200), ("7.3.4", 3200)],
    "low_reserve": [("4.3", 0x1000), ("5.12.19", 0x1000), ("5.13", 0x10000), ("7.3.4", 0x10000)],
}  # fmt: skip

versions = st.builds(Version, st.integers(0, 20), st.integers(0, 50), st.integers(0, 400))


def of(text):
    return Release.of(Version.parse(text))


@pytest.mark.parametrize(
    ("rule", "version", "value"),
    [(rule, version, value) for rule, edges in EDGES.items() for version, value in edges],
)
def test_edges(rule, version, value):
    assert getattr(of(version), rule) == value


def test_every_rule_has_edges():
    assert {"version", *EDGES} == of("6.1").described().keys()


@given(versions)
def test_every_version_has_rules_from_the_oldest_on(version):
    if version < OLDEST:
        with pytest.raises(UnsupportedError, match=r"expected Linux 2\.6\.39 or later"):
            Release.of(version)
        return
    release = Release.of(version)
    assert release.version == version
    assert (release.nvs == "conflict") == (release.checks == "late")


@pytest.mark.parametrize("text", ["2.6.38", "2.6.37.6", "2.4", "1.0"])
def test_older_kernels_are_not_modelled(text):
    with pytest.raises(UnsupportedError):
        of(text)


def test_the_newest_is_one_that_was_seen():
    assert OLDEST < NEWEST
    assert Release.of(NEWEST).nvs == "swap"


# ---- versions as text


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.1", (6, 1, 0)),
        ("6.1.0", (6, 1, 0)),
        ("6.1.0-56-amd64", (6, 1, 0)),
        ("v5.10", (5, 10, 0)),
        ("  6.12.43+deb13-amd64\n", (6, 12, 43)),
        ("7.0-rc1", (7, 0, 0)),
        ("7.1.0-rc4-next", (7, 1, 0)),
        ("4.19.0-xen", (4, 19, 0)),
        ("2.6.39.4", (2, 6, 39)),
        ("5.10.0 #1 SMP", (5, 10, 0)),
        ("6.", None),
        ("6", None),
        ("", None),
        ("xen-4.17", None),
        (".6.1", None),
        ("-6.1", None),
        ("vv6.1", None),
        ("6,1", None),
        ("1234.5", None),
        ("Linux 6.1", None),
    ],
)
def test_parse(text, version):
    assert Version.parse(text) == version


@given(versions)
def test_a_version_is_read_as_it_is_shown(version):
    assert Version.parse(str(version)) == version
    assert str(Version(6, 1)) == "6.1"


@given(st.text())
@example("9" * 5000)
@example("1." + "9" * 5000)
@example("1.1." + "9" * 5000)
@example("\u0666.\u0661")
def test_any_text_is_a_version_or_none(text):
    version = Version.parse(text)
    assert version is None or version >= (0, 0, 0)


# ---- rules by hand

VARIANTS = [
    ("leftover", "unusable"),
    ("leftover", "discard"),
    ("nvs", "conflict"),
    ("nvs", "swap"),
    ("nvs", "swap-offset-fault"),
    ("nvs_scan", "next"),
    ("nvs_scan", "first"),
    ("checks", "early"),
    ("checks", "late"),
    ("list_end", "page"),
    ("list_end", "entry"),
    ("beyond", "fails"),
    ("beyond", "bugs"),
]


@pytest.mark.parametrize(("name", "value"), VARIANTS)
def test_one_rule_is_set_and_no_other(name, value):
    for base in (of("4.3"), of("7.3")):
        varied = base.vary(f"{name}={value}")
        assert getattr(varied, name) == value
        others = varied.described().keys() - {name}
        assert all(varied.described()[other] == base.described()[other] for other in others)
        assert base.vary(f" {name.replace('_', '-')}={value}") == varied


def test_ibft_and_capacity():
    assert of("4.3").vary("ibft=yes").ibft is True
    assert of("7.3").vary("ibft=no").ibft is False
    assert of("6.1").vary("e820_entries=128").e820_entries == 128
    assert of("6.1").vary("e820-entries=1").e820_entries == 1
    assert of("6.1").vary("e820_entries=1048576").e820_entries == 1 << 20


@pytest.mark.parametrize(
    "text",
    [
        "", "=", "nonsense", "nonsense=1", "nvs", "nvs=", "nvs=swap ", "nvs=first", "version=6.1", "ibft=1", "ibft=True",
        "e820_entries", "e820_entries=", "e820_entries=0", "e820_entries=-1", "e820_entries=1048577", "e820_entries=x",
        "e820_entries=1.5", "e820_entries=" + "9" * 5000, "e820_entries=²",
    ],
)  # fmt: skip
def test_other_rules_and_values_are_refused(text):
    with pytest.raises(InputError) as caught:
        of("6.1").vary(text)
    assert len(str(caught.value)) < 300


@given(
    st.text()
    | st.builds("{}={}".format, st.sampled_from([name for name, _ in VARIANTS] + ["e820_entries"]), st.text())
)
@example("e820_entries=000000001" + "0" * 5000)
@example("e820_entries=0000000012345678")
def test_any_text_is_a_variant_or_refused(text):
    try:
        varied = of("6.1").vary(text)
    except InputError:
        return
    assert 1 <= varied.e820_entries <= 1 << 20


def test_described_tells_every_rule():
    told = of("6.12.92").described()
    assert told["version"] == "6.12.92"
    assert told["nvs"] == "swap"
    assert told["e820_entries"] == "3200"
