"""Hosts from JSON: every default is told, every wrong value is refused with its place."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xenp2m.e820 import NVS, RAM, RESERVED, Entry
from xenp2m.errors import InputError
from xenp2m.host import UNLIMITED, Host
from xenp2m.hostrow import host_of_row
from xenp2m.kernel import NEWEST, Release, Version

MAP = [[0, 0x80000000, 1]]
FULL = {
    "id": "a-1",
    "kernel": "6.12.107",
    "bits": 64,
    "in": {
        "cls": "objects", "name": "o1", "dom": "dom0", "nr_pages": 4096, "max_res": 8192,
        "e820": [[0, 654336, 1], [654336, 1048576, 2], [1048576, 1 << 30, 1]],
        "mfn_base": 100, "mfn_desc": True, "p2m_limit_gb": 0, "ibft": True,
        "kernel": [16777216, 58720256], "start_info": 71303168, "pt": [71311360, 262144],
        "initrd": [58720256, 8388608], "p2m_frames": [16384, 1024], "virt_p2m_4tools": 1,
        "variant": "nvs=conflict,checks=late",
    },
    "out": {"anything": "goes"},
}  # fmt: skip


def bare(**fields):
    return {"nr_pages": 4096, "e820": MAP} | fields


def refused(row):
    with pytest.raises(InputError) as caught:
        host_of_row(row, "rows.json:3")
    assert caught.value.where.startswith("rows.json:3")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
    return caught.value


# ---- what a row says


def test_a_full_row():
    assert host_of_row(FULL, "x") == Host(
        release=Release.of(Version(6, 12, 107)).vary("nvs=conflict").vary("checks=late"),
        nr_pages=4096,
        e820=(Entry(0, 654336, RAM), Entry(654336, 1048576, RESERVED), Entry(1048576, 1 << 30, RAM)),
        dom="dom0",
        max_res=8192,
        mfn_base=100,
        mfn_desc=True,
        p2m_limit_gb=0,
        ibft=True,
        kernel=(16777216, 58720256),
        start_info=71303168,
        pt=(71311360, 71311360 + 262144),
        initrd=(58720256, 58720256 + 8388608),
        p2m_frames=(16384, 1024),
        virt_p2m_4tools=True,
        assumed=(),
    )


def test_the_fields_alone_mean_the_same_but_for_kernel_and_bits():
    fields = {key: value for key, value in FULL["in"].items() if key != "variant"}
    whole = host_of_row({"in": fields, "kernel": str(NEWEST), "bits": 64}, "x")
    alone = host_of_row(fields, "x")
    assert alone.assumed == ("bits 64", f"kernel {NEWEST}")
    assert Host(**{name: getattr(alone, name) for name in Host.__slots__} | {"assumed": ()}) == whole
    assert host_of_row(fields | {"bits": 64, "id": 9}, "x").assumed == (f"kernel {NEWEST}",)


def test_a_kernel_among_the_fields_is_a_version_or_a_place():
    assert host_of_row(bare(kernel="6.1"), "x").release == Release.of(Version(6, 1))
    placed = host_of_row(bare(kernel=[4096, 8192]), "x")
    assert (placed.kernel, placed.release) == ((4096, 8192), Release.of(NEWEST))


@pytest.mark.parametrize("e820", [None, MAP])
def test_domu(e820):
    host = host_of_row({"dom": "domU", "nr_pages": 10, "e820": e820}, "x")
    assert not host.is_dom0
    assert host.e820 == (None if e820 is None else (Entry(0, 0x80000000, RAM),))


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("usable", 1),
        ("RAM", 1),
        ("ACPI NVS", NVS),
        ("acpi_nvs", NVS),
        ("type 20", 20),
        (20, 20),
        (0xEFFFFFFF, 0xEFFFFFFF),
    ],
)
def test_types_are_numbers_or_names(word, number):
    assert host_of_row(bare(e820=[[0, 4096, word]]), "x").e820 == (Entry(0, 4096, number),)


# ---- what it does not say

DEFAULTS = {
    "dom": ("dom0", "dom dom0"),
    "max_res": (UNLIMITED, "max_res unlimited"),
    "mfn_base": (1 << 20, "mfn_base 1048576"),
    "mfn_desc": (False, "mfn_desc false"),
    "p2m_limit_gb": (512, "p2m_limit_gb 512"),
    "ibft": (False, "ibft false"),
}


@pytest.mark.parametrize("key", DEFAULTS)
def test_each_default_is_told(key):
    value, line = DEFAULTS[key]
    fields = {k: v for k, v in FULL["in"].items() if k != key}
    host = host_of_row(FULL | {"in": fields}, "x")
    assert getattr(host, key) == value
    assert host.assumed == (line,)


def test_no_map_is_told():
    fields = {k: v for k, v in FULL["in"].items() if k != "e820"} | {"dom": "domU"}
    host = host_of_row(FULL | {"in": fields}, "x")
    assert host.e820 is None
    assert host.assumed == ("e820 none given",)


def test_all_defaults():
    host = host_of_row(bare(), "x")
    assert set(host.assumed) == {"bits 64", f"kernel {NEWEST}", *(line for _, line in DEFAULTS.values())}
    assert host == Host(Release.of(NEWEST), 4096, (Entry(0, 0x80000000, RAM),), assumed=host.assumed)


def test_null_is_not_absent():
    host = host_of_row(bare(max_res=None), "x")
    assert host.max_res is None
    assert not [line for line in host.assumed if line.startswith("max_res")]


@pytest.mark.parametrize("key", ["kernel", "start_info", "pt", "initrd", "p2m_frames"])
def test_an_object_that_is_null_does_not_exist(key):
    assert host_of_row(bare(**{key: None}), "x") == host_of_row(bare(), "x")


@pytest.mark.parametrize("key", ["cls", "name"])
def test_some_keys_are_ignored(key):
    assert host_of_row(bare(**{key: ["anything"]}), "x") == host_of_row(bare(), "x")


# ---- what cannot be


@pytest.mark.parametrize("row", [None, 7, "text", [], [FULL], True, 1.5])
def test_only_objects_are_rows(row):
    assert refused(row).expected == "a JSON object"


@pytest.mark.parametrize(
    "row", [FULL | {"extra": 1}, bare(extra=1), FULL | {"in": FULL["in"] | {"extra": 1}}]
)
def test_unknown_keys_are_refused_by_name(row):
    assert "extra" in refused(row).got


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"nr_pages": 0}, "nr_pages"), ({"nr_pages": -1}, "nr_pages"), ({"nr_pages": 1 << 41}, "nr_pages"),
        ({"nr_pages": 1.5}, "nr_pages"), ({"nr_pages": "4096"}, "nr_pages"), ({"nr_pages": None}, "nr_pages"),
        ({"nr_pages": 10**400}, "nr_pages"), ({"nr_pages": [1]}, "nr_pages"),
        ({"dom": "dom1"}, "dom"), ({"dom": None}, "dom"), ({"dom": ["dom0"]}, "dom"),
        ({"max_res": "all"}, "max_res"), ({"max_res": 1 << 60}, "max_res"), ({"max_res": 0.5}, "max_res"),
        ({"mfn_base": -1}, "mfn_base"), ({"mfn_base": None}, "mfn_base"),
        ({"mfn_desc": "yes"}, "mfn_desc"), ({"mfn_desc": 2}, "mfn_desc"),
        ({"p2m_limit_gb": -1}, "p2m_limit_gb"), ({"ibft": "no"}, "ibft"), ({"virt_p2m_4tools": 7}, "virt_p2m_4tools"),
        ({"kernel": [8192, 4096]}, "kernel"), ({"kernel": [1]}, "kernel"), ({"kernel": {}}, "kernel"),
        ({"kernel": "nonsense"}, "kernel"), ({"kernel": "2.6.38"}, "kernel"), ({"kernel": ""}, "kernel"),
        ({"start_info": -1}, "start_info"), ({"start_info": [1]}, "start_info"),
        ({"pt": [0, -1]}, "pt"), ({"pt": [1, 2, 3]}, "pt"), ({"initrd": [None, 1]}, "initrd"), ({"initrd": 4}, "initrd"),
        ({"p2m_frames": [1 << 52, 1]}, "p2m_frames"), ({"p2m_frames": "x"}, "p2m_frames"),
        ({"variant": 7}, "variant"), ({"bits": 32}, "bits"), ({"bits": "64"}, "bits"), ({"bits": True}, "bits"),
        ({"e820": None}, "e820"), ({"e820": []}, "e820"), ({"e820": {}}, "e820"), ({"e820": "map"}, "e820"),
        ({"e820": [[0, 4096]]}, "e820[0]"), ({"e820": [[0, 4096, 1], 7]}, "e820[1]"), ({"e820": [[0, 4096, "tasty"]]}, "e820[0]"),
        ({"e820": [[0, 4096, 0]]}, "e820[0]"), ({"e820": [[0, 4096, -1]]}, "e820[0]"), ({"e820": [[0, 4096, 1 << 32]]}, "e820[0]"),
        ({"e820": [[0, 4096, None]]}, "e820[0]"), ({"e820": [[0.0, 4096, 1]]}, "e820[0]"), ({"e820": [[-1, 4096, 1]]}, "e820[0]"),
        ({"e820": [[0, 1 << 64, 1]]}, "e820[0]"), ({"e820": [[8192, 4096, 1]]}, "e820, entry 0"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_at_their_place(changes, place):
    assert refused(bare(**changes)).where == f"rows.json:3, {place}"


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({"in": 7}, "in"), ({"in": None}, "in"), ({"in": bare(), "kernel": 6.1}, "kernel"),
        ({"in": bare(), "kernel": "2.6.38"}, "kernel"), ({"in": bare(), "bits": 32}, "bits"), ({"in": bare(kernel="6.1")}, "kernel"),
    ],
)  # fmt: skip
def test_wrong_values_around_the_fields(row, place):
    assert refused(row).where == f"rows.json:3, {place}"


def test_a_wrong_variant_is_refused():
    assert "nvs" in refused(bare(variant="nvs=sometimes")).where
    refused(bare(variant=""))
    refused(bare(variant="nvs=swap,,ibft=yes"))


def test_a_size_is_needed():
    assert refused({"e820": MAP}).where == "rows.json:3, nr_pages"


# ---- anything

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, -(1 << 64), 1 << 63, "dom0", "6.1", "usable"])
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*FULL, *FULL["in"]]) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)


def host_or_refusal(row):
    try:
        told = host_of_row(row, "x")
    except InputError as error:
        told = str(error)
    assert isinstance(told, Host) or (len(told) < 1000 and "\n" not in told)


@given(anything)
@example({"in": {"in": {}}})
def test_any_json_is_a_host_or_refused(row):
    host_or_refusal(row)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(list(FULL["in"])), anything, max_size=3), st.booleans())
def test_any_value_in_a_sound_row_is_read_or_refused(changes, whole):
    fields = FULL["in"] | changes
    host_or_refusal(FULL | {"in": fields} if whole else fields)


@given(st.sampled_from([*list(FULL["in"]), "id", "bits", "out"]), st.integers(-(1 << 70), 1 << 70))
def test_any_number_in_a_sound_row_is_read_or_refused(key, number):
    host_or_refusal(bare(**{key: number}))
    host_or_refusal(json.loads(json.dumps(FULL | {"in": FULL["in"] | {key: [number, number]}})))
