"""Loading a method: options are validated all at once, and names are proposed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tomli_w

from harden import methods
from harden.errors import SettingsError, UnknownNameError
from harden.registry import METHODS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_text_from_the_command_line_becomes_numbers():
    config = methods.load("nft_ovf", {"beta": "0.01", "offsets": "0.3,0.2", "factors": "2,1.5"}).config
    assert (config.beta, config.offsets, config.factors) == (0.01, (0.3, 0.2), (2.0, 1.5))


def test_all_problems_are_reported_at_once():
    with pytest.raises(SettingsError) as caught:
        methods.load("nft_irs", {"bta": 1, "heads": 0, "scale": "loud", "hidden": "many"})
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "unknown option 'bta'. Did you mean beta?" in text
    assert "heads=0" in text
    assert "scale='loud'" in text
    assert "hidden='many'" in text
    assert caught.value.exit_code == 2


def test_an_unknown_option_without_a_neighbour_lists_the_known_ones():
    with pytest.raises(SettingsError, match=r"unknown option 'zzz'\. Known: none"):
        methods.load("none", {"zzz": 1})


def test_an_unknown_method_proposes_names():
    with pytest.raises(UnknownNameError, match="Did you mean nois"):
        methods.load("nois")


def test_an_alias_is_resolved_and_says_so():
    assert methods.resolve("nft") in ("nft_ovf", "nft_irs")
    assert methods.describe("nft")["alias_of"] == methods.describe("nft")["name"] == methods.resolve("nft")
    assert methods.describe("noise")["alias_of"] is None


@pytest.mark.parametrize("name", METHODS.names())
def test_a_description_is_complete(name):
    about = methods.describe(name)
    assert about["kind"] in ("objective", "transform", "recipe")
    assert all(about[key] for key in ("summary", "cost", "source", "description"))
    assert all(option["description"] for option in about["options"])


@pytest.mark.parametrize("name", METHODS.names())
def test_settings_survive_toml(name):
    config = methods.load(name).config
    written = {key: value for key, value in config.model_dump(mode="json").items() if value is not None}
    assert methods.load(name, tomllib.loads(tomli_w.dumps(written))).config == config


def test_listing_names_imports_no_torch():
    code = "import sys, harden.methods as m; m.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
