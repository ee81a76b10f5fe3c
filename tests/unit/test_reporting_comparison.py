import math
import re
from html.parser import HTMLParser

import pytest
from reporting_cohort import FACTS, PRINTED, write_cohort

from finalinfarct.dataset.tables import read_table, write_table
from finalinfarct.reporting.comparison import COLUMNS, write_comparison
from finalinfarct.reporting.encoder import write_table1
from finalinfarct.reporting.html_page import bar, cell, notes_list, page, table
from finalinfarct.reporting.tables import write_table2, write_table3, write_table4, write_table_c6
from finalinfarct.reporting.text_results import write_text_results

TEXT = (
    "table",
    "panel",
    "row",
    "metric",
    "statistic",
    "unit",
    "value",
    "stars",
    "printed",
    "printed_stars",
    "corrected",
    "corrected_stars",
    "correction",
)
FULL = "DWI+ADC+Tmax+CBF+CBV"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What a test asks of a page: that its tags are closed in order, its attributes, its text, and the cells of its tables."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.cells, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


@pytest.fixture
def files(tmp_path):
    """Write all tables that the comparison reads, of the hand-made cohort."""
    made = write_cohort(tmp_path)
    for name, write in (("table2", write_table2), ("table3", write_table3), ("table4", write_table4), ("tableC6", write_table_c6)):
        made[name] = tmp_path / f"{name}.csv"
        more = {"volumes": made["volumes"]} if name == "table3" else {}
        write(made["metrics"], PRINTED, made[name], tmp_path / f"{name}.md", **more)
    made["text_results"] = tmp_path / "text_results.csv"
    write_text_results(made, FACTS, made["text_results"], tmp_path / "text_results.md")
    return made


def build(files, **options):
    """Rows by table, panel, row and metric, and the page."""
    folder = files["metrics"].parent
    write_comparison(files, "mm", folder / "c.csv", folder / "c.html", **options)
    rows = read_table(folder / "c.csv", text=(*TEXT, "verdict", "printed_verdict", "same_verdict", "note"))
    assert tuple(rows.columns) == COLUMNS
    text = [name for name in rows if name in TEXT or "verdict" in name or name == "note"]
    return rows.fillna(dict.fromkeys(text, "")).set_index(["table", "panel", "row", "metric"]).sort_index(), (folder / "c.html").read_text(
        encoding="utf-8"
    )


def test_every_printed_number_has_its_row(files):
    rows, _ = build(files)
    printed = read_table(PRINTED, text=("table", "panel", "row", "metric", "stars")).fillna({"stars": ""})
    assert len(printed) == 190
    for cell_ in printed.to_dict("records"):
        found = rows.loc[tuple(cell_[name] for name in ("table", "panel", "row", "metric"))]
        pairwise = math.isnan(cell_["mean"])
        assert float(found["printed"]) == cell_["p_value" if pairwise else "mean"] and found["printed_stars"] == cell_["stars"]
        assert pairwise or found["printed_sd"] == cell_["sd"]
    facts = read_table(FACTS, text=("fact", "value", "where"))
    elsewhere = facts["fact"].str.startswith(("AUC", "trainable"))
    shown = {key[2] for key in rows.index if key[0] in ("A.5", "text")}
    assert shown == set(facts.loc[~elsewhere, "fact"])
    assert {key[2] for key in rows.index if key[0] == "A.5"} == set(facts.loc[facts["where"] == "table A.5", "fact"])
    # Both methods, statuses, and three modes; layers and numbers of parameters.
    assert len(rows.loc["AUC"]) == 12 and len(rows.loc["1"]) == 10 + 3


def test_differences_and_the_exchanged_columns(files):
    rows, _ = build(files)
    dsc = rows.loc[("2", "a", "general", "DSC")]
    assert (float(dsc["value"]), dsc["difference"], dsc["difference_in_printed_sd"]) == pytest.approx((0.35, -0.08, -0.08 / 0.24))
    assert dsc["correction"] == "" and dsc["corrected"] == "0.43" and dsc["n"] == 6
    assert dsc["sd_difference"] == pytest.approx(dsc["sd"] - 0.24)
    precision = rows.loc[("2", "a", "general", "Precision")]
    # Printed 0.55 ± 0.28, under the name of recall 0.43 ± 0.25.
    assert precision["difference"] == pytest.approx(-0.2) and precision["difference_in_printed_sd"] == pytest.approx(-0.2 / 0.28)
    assert (float(precision["corrected"]), precision["corrected_sd"], precision["correction"]) == (0.43, 0.25, "column recall")
    assert precision["corrected_difference"] == pytest.approx(-0.08) and precision["corrected_difference_in_sd"] == pytest.approx(-0.32)
    recall = rows.loc[("2", "b", "general vs nonreperfused", "Recall")]
    assert (float(recall["printed"]), recall["printed_stars"]) == (1e-10, "***")
    assert (float(recall["corrected"]), recall["corrected_stars"], recall["correction"]) == (0.0069, "**", "column precision")
    hd = rows.loc[("2", "c", "general", "HD")]
    assert hd["unit"] == "mm" and float(hd["value"]) == pytest.approx(98)


def test_rows_that_repeat_another_are_read_as_they_should_stand(files):
    rows, _ = build(files)
    expected = {"DSC": (0.44, 0.25), "VS": (0.70, 0.27), "Precision": (0.50, 0.26), "Recall": (0.50, 0.27), "HD": (38.58, 18.1)}
    for place in (("3", "reperfused", "cnn"), ("4", "a", FULL)):
        for metric, (mean, sd) in expected.items():
            row = rows.loc[(*place, metric)]
            assert (float(row["corrected"]), row["corrected_sd"]) == (mean, sd)
            assert row["correction"].startswith("row of table 2(a), reperfused model")
            assert ("; column" in row["correction"]) == (metric in ("Precision", "Recall"))
    printed = rows.loc[("3", "reperfused", "cnn", "Precision")]
    # The mark belongs to the row, so it is exchanged but not replaced.
    assert (float(printed["printed"]), printed["printed_stars"], printed["corrected_stars"]) == (0.39, "", "***")
    assert rows.loc[("3", "reperfused", "mismatch", "DSC"), "correction"] == rows.loc[("4", "b", FULL, "HD"), "correction"] == ""


def test_late_fusion_of_table_c6_is_read_by_the_p_values_of_table_2(files):
    rows, page_ = build(files)
    expected = {
        # Printed without stars: 3.7e-6 and 1.4e-6 in table 2, columns exchanged; HD 0.048.
        ("a", "late reperfused", "Recall"): ("***", "stars of table 2; column precision"),
        ("a", "late reperfused", "Precision"): ("***", "column recall"),
        ("a", "late reperfused", "HD"): ("*", "stars of table 2"),
        # Printed as (***), p = 0.0069.
        ("a", "late nonreperfused", "Recall"): ("**", "stars of table 2; column precision"),
        ("a", "late reperfused", "DSC"): ("", ""),
        ("a", "early nonreperfused", "Recall"): (rows.loc[("C.6", "a", "early nonreperfused", "Precision"), "printed_stars"], "column precision"),
    }
    found = {key: tuple(rows.loc[("C.6", *key), ["corrected_stars", "correction"]]) for key in expected}
    assert found == expected
    for letter, other in (("a", "b"), ("c", "d")):
        for training in ("reperfused", "nonreperfused"):
            for metric in ("DSC", "VS", "Precision", "Recall", "HD"):
                here = rows.loc[("C.6", {"a": "a", "c": "b"}[letter], f"late {training}", metric)]
                there = rows.loc[("2", other, f"general vs {training}", metric)]
                opposite = {"higher": "lower", "lower": "higher"}
                assert here["printed_verdict"] == (opposite.get(there["printed_verdict"], there["printed_verdict"]) if there["verdict"] else "")
    # As the paper prints them in this table, with two decimals.
    assert "29.51 ± 16.26" in page_


def test_verdicts(files):
    rows, _ = build(files)
    expected = {
        # Six differences of one sign (P = 0.031) against the printed 0.43.
        ("2", "b", "general vs reperfused", "DSC"): ("lower", "no difference", "no"),
        # 0.43 against 0.50 once the columns are exchanged.
        ("2", "b", "general vs reperfused", "Precision"): ("lower", "lower", "yes"),
        ("2", "b", "general vs reperfused", "Recall"): ("lower", "higher", "no"),
        ("2", "b", "general vs nonreperfused", "HD"): ("", "", ""),
        ("2", "d", "general vs reperfused", "DSC"): ("no difference", "no difference", "yes"),
        ("3", "reperfused", "cnn", "DSC"): ("higher", "higher", "yes"),
        # P = 0.0625; in print the stars stand on the mismatch model, which has 19.34 against 38.58.
        ("3", "reperfused", "cnn", "HD"): ("no difference", "higher", "no"),
        ("3", "reperfused", "cnn", "Recall"): ("higher", "lower", "no"),
        ("3", "reperfused", "mismatch", "DSC"): ("", "", ""),
        ("4", "a", "DWI", "DSC"): ("lower", "lower", "yes"),
        ("4", "a", FULL, "DSC"): ("", "", ""),
        ("C.6", "a", "late reperfused", "Precision"): ("higher", "higher", "yes"),
        # The stars of late fusion are those of table 2: (*) on HD, where table C.6 has none, and none on precision read as recall.
        ("C.6", "a", "late reperfused", "HD"): ("lower", "higher", "no"),
        ("C.6", "b", "early reperfused", "VS"): ("no difference", "no difference", "yes"),
        ("AUC", "reperfused", "cnn", "balanced"): ("higher", "higher", "yes"),
        ("AUC", "nonreperfused", "cnn", "balanced"): ("no difference", "higher", "no"),
        ("text", "section 4.2", "correlation DSC with baseline DWI volume p", ""): ("different", "no difference", "no"),
        ("text", "section 4.4", "age cohort difference Wilcoxon p", ""): ("no difference", "no difference", "yes"),
        ("text", "section 4.4", "occlusion site cohort difference Fisher p", "M1 against M2"): ("no difference", "different", "no"),
        ("text", "section 4.4", "NIHSS cohort difference Wilcoxon p", ""): ("", "", ""),
    }
    found = {key: tuple(rows.loc[key, ["verdict", "printed_verdict", "same_verdict"]]) for key in expected}
    assert found == expected


def test_facts(files):
    rows, page_ = build(files)
    assert rows.loc[("text", "abstract", "patients", ""), "difference"] == 12 - 109
    assert rows.loc[("text", "section 4.1", "responders percentage", ""), "difference"] == pytest.approx(400 / 9 - 50)
    sizes = rows.loc[("text", "appendix B", "test patients", "")]
    assert (sizes["value"], sizes["printed"]) == ("3", "17-19") and math.isnan(sizes["difference"])
    assert "53 of all 109" in rows.loc[("text", "section 4.1", "responders percentage", ""), "note"]
    assert rows.loc[("A.5", "table A.5", "women percentage", ""), "difference"] == pytest.approx(75 - 41.3)
    cells = Page(page_).cells
    place = cells.index("patients")
    assert cells[place : place + 4] == ["patients", "12", "109", "-97"]


def test_shapes_of_another_matrix_agree_when_scaled(files):
    rows, page_ = build(files)
    assert set(rows.loc["1", "same_verdict"]) == {"yes"} and "scaled" not in page_
    layers = [("Conv Block 1", (64, 64, 8)), ("2D MaxPooling", (32, 32, 8)), ("Conv Block 2", (32, 32, 99))]
    write_table1(layers, {"late fusion, 1 inputs": 5}, files["table1"], files["table1"].with_suffix(".md"))
    rows, page_ = build(files)
    found = rows.loc["1"].droplevel(["panel", "metric"])["same_verdict"].to_dict()
    assert found == {"Conv Block 1": "scaled", "2D MaxPooling": "scaled", "Conv Block 2": "no", "late fusion, 1 inputs": "no"}
    assert "agrees, scaled to this matrix" in page_


def test_overview_counts_what_is_near_and_what_comes_out_the_same(files):
    rows, page_ = build(files)
    cells = Page(page_).cells
    place = cells.index("Table 3. CNN and mismatch model")
    near = rows.loc["3", "corrected_difference_in_sd"].abs() < 1
    same = rows.loc["3", "same_verdict"]
    assert cells[place + 1 : place + 4] == ["20", f"{near.sum()} of 20", f"{(same == 'yes').sum()} of {(same != '').sum()}"]
    assert 0 < near.sum() < 20 and 0 < (same == "yes").sum() < (same != "").sum() == 10
    # Rows of one name, such as three of pooling, are three numbers.
    assert cells[cells.index("Table 1. Encoder") + 1] == "13"


def test_overview_counts_a_number_with_several_readings_once(files):
    auc = read_table(files["auc"], text=("panel", "row", "metric"))
    # The network's 0.87 in reperfused patients: near in two modes, far in the third; its test comes out the same in two.
    own = (auc["panel"] == "reperfused") & (auc["row"] == "cnn")
    auc.loc[own, "mean"] = [0.87, 0.87, 0.5]
    auc.loc[~own, "mean"] = auc.loc[~own, "printed_mean"]
    auc.loc[own, "p_value"] = [0.01, 0.01, 0.9]
    write_table(auc, files["auc"])
    rows, page_ = build(files)
    cells = Page(page_).cells
    place = cells.index("AUC (section 3.2)")
    assert cells[place + 1 : place + 4] == ["4", "3 of 4", "0 of 2"]
    text = rows.loc["text"].reset_index()
    printed = text.drop_duplicates(["panel", "row"])
    place = cells.index("Numbers in the text")
    # The occlusion site has two readings, of which one finds what the paper finds.
    assert cells[place + 1] == str(len(printed)) == str(len(text) - 1)
    assert cells[place + 3].endswith(f" of {(printed['verdict'] != '').sum()}")


@pytest.mark.parametrize("simulated", [True, False])
def test_page_is_whole_and_needs_nothing_else(files, simulated):
    _, text = build(files, simulated=simulated)
    parsed = Page(text)
    anchors = {value for _, name, value in parsed.attributes if name == "id"}
    links = [value for _, name, value in parsed.attributes if name == "href"]
    assert len(links) == 10 == len(anchors) and {f"#{anchor}" for anchor in anchors} == set(links)
    assert not {tag for tag, *_ in parsed.attributes} & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?:|@import|url\(|<script|src=", text)
    assert ("The cohort is simulated" in parsed.text) == ('class="banner"' in text) == simulated
    said = ("precision and recall columns are exchanged", "headline is a direction", "drawn on day 30", "fit 108 patients", "repeats table 2(c)")
    for sentence in said:
        assert sentence in parsed.text
    # Of table 3 and the AUC; the numbers in the text have it in their remarks.
    assert parsed.text.count("Diffusion lesion by an expert in 7 patients, automatic (ADC threshold) in 2.") == 2
    assert "nan" not in parsed.text and "None" not in parsed.text
    tables = re.findall(r"<table.*?</table>", text, flags=re.DOTALL)
    for one in tables:
        columns = len(re.findall(r'scope="col"', one))
        for line in re.findall(r"<tbody>.*?</tbody>", one, flags=re.DOTALL):
            widths = [len(re.findall(r"<t[dh]", row)) for row in re.findall(r"<tr>.*?</tr>", line)]
            # The first row of a group also holds its heading.
            assert widths[0] == columns and set(widths[1:]) <= {columns, columns - 1}
    assert len(tables) == 1 + 1 + 4 + 2 + 2 + 2 + 2 + 1 + 1


def test_names_are_escaped(files):
    table_ = read_table(files["text_results"], text=("value", "printed_value", "note"))
    table_.loc[table_["fact"] == "patients", "note"] = '<script>alert("x")</script> & more'
    write_table(table_, files["text_results"])
    _, text = build(files)
    assert "<script>" not in text and "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; more" in text
    assert '<script>alert("x")</script> & more' in Page(text).text


def test_parts_of_a_page():
    assert notes_list(()) == "" and notes_list(["a `b` < c"]) == '<ul class="notes"><li>a <code>b</code> &lt; c</li></ul>\n'
    assert 'class="higher" style="width:25.0%"' in bar(1.0) and "+1.00" in bar(1.0)
    assert 'class="lower" style="width:50.0%"' in bar(-7.0) and "-7.00" in bar(-7.0)
    assert bar(math.nan) == cell("", "soft")
    grouped = table(("g", "a", "b"), [("x", [[cell("1"), cell("")], [cell("2"), cell("")]])])
    # The second column is empty, and left out with its title; the heading stands over both rows.
    assert Page(grouped).cells == ["g", "a", "x", "1", "2"] and 'rowspan="2"' in grouped
    text = Page(page("t & u", ["p"], [("A b", ""), ("C", "")], ("w", "s"))).text
    assert " ".join(text.split()) == "t & u ws t & u p Contents A b C A b C"
