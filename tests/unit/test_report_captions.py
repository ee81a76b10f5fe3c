"""Captions of Snakemake's report are valid reStructuredText, and warn where the cohort is simulated."""

import re
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from project import ROOT

RULES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk")}
FOLDER = ROOT / "workflow" / "report"
TABLES = ("table2", "table3", "table4", "tableC6")


def used(rules):
    return set(re.findall(r'caption="\.\./report/(\w+\.rst)"', rules))


def rendered(name, simulated, table="table2"):
    job = SimpleNamespace(params=SimpleNamespace(simulated=simulated), wildcards=SimpleNamespace(table=table))
    text = Environment(undefined=StrictUndefined).from_string((FOLDER / name).read_text(encoding="utf-8")).render(snakemake=job)
    return publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["body"]


def test_every_caption_is_used_and_every_used_caption_is_there():
    assert used("\n".join(RULES.values())) == {path.name for path in FOLDER.glob("*.rst")}


def test_rules_with_captions_say_whether_the_cohort_is_simulated():
    rules = [rule for text in RULES.values() for rule in re.split(r"\n(?=rule )", text)]
    captioned = [rule for rule in rules if any("params.simulated" in (FOLDER / name).read_text(encoding="utf-8") for name in used(rule))]
    assert len(captioned) > 10 and all("simulated=plan.of_simulation" in rule for rule in captioned)


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.rst")))
def test_caption_is_valid(name, simulated):
    assert "<p>" in rendered(name, simulated)


@pytest.mark.parametrize("name", sorted(used(RULES["reporting"])))
def test_captions_of_tables_say_how_to_read_them_and_where_the_cohort_is_simulated(name):
    real = rendered(name, simulated=False)
    assert "How to read it" in real and "The cohort is simulated" not in real
    # Table 1 is read off the network, whatever the cohort is.
    assert ("The cohort is simulated" in rendered(name, simulated=True)) == (name != "table1.rst")


def test_tables_have_their_own_captions():
    assert len({rendered("table.rst", False, table) for table in TABLES}) == len(TABLES)
