import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finalinfarct.errors import InputError
from finalinfarct.learning.folds import check_folds, find_fold, make_folds, read_folds, write_folds


def table(reperfused, nonreperfused, extra):
    rows = [(f"sub-r{i:03d}", "hibiscus", "test", "reperfused") for i in range(reperfused)]
    rows += [(f"sub-n{i:03d}", "hibiscus", "test", "nonreperfused") for i in range(nonreperfused)]
    rows += [(f"sub-x{i:03d}", "iknow", "training", "nonreperfused") for i in range(extra)]
    return pd.DataFrame(rows, columns=["participant_id", "cohort", "role", "status"]).assign(included=True)


def size(part):
    return len(part["training"]) + len(part["validation"])


def test_cohorts_of_the_paper_give_its_sizes_of_the_folds():
    # Debs et al. 2021, section 2.1.1 and appendix B: 74 + 18 tested patients and 17 of I-KNOW
    folds = make_folds(table(74, 18, 17), 5, seed=1)["folds"]
    for fold in folds:
        assert sum(p.startswith("sub-r") for p in fold["test"]) in (14, 15)
        assert sum(p.startswith("sub-n") for p in fold["test"]) in (3, 4)
        assert len(fold["training_sets"]["all"]["validation"]) == 9
    assert {len(fold["test"]) for fold in folds} == {17, 18, 19}
    assert {size(fold["training_sets"]["all"]) for fold in folds} == {90, 91, 92}
    assert {size(fold["training_sets"]["reperfused"]) for fold in folds} == {59, 60}
    assert {size(fold["training_sets"]["nonreperfused"]) for fold in folds} == {31, 32}


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 30), st.integers(4, 20), st.integers(0, 9), st.integers(2, 3), st.integers(0, 1000), st.floats(0.01, 0.5))
def test_invariants_hold_for_any_cohort(reperfused, nonreperfused, extra, number, seed, fraction):
    inclusion = table(reperfused, nonreperfused, extra)
    result = make_folds(inclusion, number, seed, fraction)
    tested = [p for fold in result["folds"] for p in fold["test"]]
    assert sorted(tested) == sorted(inclusion.participant_id[inclusion.role == "test"])
    for fold in result["folds"]:
        elsewhere = set(inclusion.participant_id) - set(fold["test"])
        for name, part in fold["training_sets"].items():
            members = elsewhere if name == "all" else elsewhere & set(inclusion.participant_id[inclusion.status == name])
            assert part["training"] and part["validation"]
            assert sorted(part["training"] + part["validation"]) == sorted(members)
            assert len(part["validation"]) == min(max(1, round(fraction * len(members))), len(members) - 1)
        validation = fold["training_sets"]["all"]["validation"]
        share = len(validation) * sum(p.startswith("sub-r") for p in elsewhere) / len(elsewhere)
        assert abs(sum(p.startswith("sub-r") for p in validation) - share) < 1


def test_order_of_the_table_does_not_matter_but_the_seed_does():
    inclusion = table(18, 6, 6)
    shuffled = inclusion.sample(frac=1, random_state=3)
    assert make_folds(inclusion, 3, 1) == make_folds(shuffled, 3, 1)
    assert make_folds(inclusion, 3, 1) != make_folds(inclusion, 3, 2)


def test_excluded_patients_and_patients_without_role_stand_nowhere():
    inclusion = table(8, 8, 2)
    inclusion.loc[0, "included"] = False
    inclusion.loc[1, "role"] = "none"
    text = str(make_folds(inclusion, 3, 1))
    assert "sub-r000" not in text and "sub-r001" not in text and "sub-r002" in text


def test_too_few_patients_are_refused_with_a_mend():
    with pytest.raises(InputError, match=r"2 nonreperfused test patients are too few for 3 folds.*at most 2"):
        make_folds(table(9, 2, 9), 3, 1)
    with pytest.raises(InputError, match=r"1 nonreperfused test patients.*Mend: include more"):
        make_folds(table(9, 1, 9), 3, 1)
    with pytest.raises(InputError, match=r"training set 'nonreperfused' of fold 1.*1 patients"):
        make_folds(table(9, 2, 0), 2, 1)


def test_duplicated_and_unknown_patients_are_refused():
    inclusion = table(6, 6, 0)
    with pytest.raises(InputError, match="duplicated participants sub-r000"):
        make_folds(pd.concat([inclusion, inclusion[:1]]), 3, 1)
    inclusion["status"] = inclusion["status"].astype(object)
    inclusion.loc[2, "status"] = np.nan
    with pytest.raises(InputError, match="status unknown for sub-r002"):
        make_folds(inclusion, 3, 1)


def test_folds_survive_the_file(tmp_path):
    folds = make_folds(table(9, 6, 3), 3, 1)
    write_folds(folds, tmp_path / "folds.json")
    assert read_folds(tmp_path / "folds.json") == folds
    assert [p.name for p in tmp_path.iterdir()] == ["folds.json"]
    assert find_fold(folds, "2") is folds["folds"][1]
    with pytest.raises(InputError, match="no fold 4"):
        find_fold(folds, 4)


def test_broken_folds_are_found(tmp_path):
    def broken(change):
        folds = make_folds(table(9, 6, 3), 3, 1)
        change(folds["folds"][0])
        with pytest.raises(InputError) as fault:
            check_folds(folds, "folds.json")
        return str(fault.value)

    assert "trained on and tested" in broken(lambda f: f["training_sets"]["reperfused"]["training"].append(f["test"][0]))
    assert "stands there twice" in broken(lambda f: f["training_sets"]["all"]["training"].append(f["training_sets"]["all"]["validation"][0]))
    assert "empty" in broken(lambda f: f["training_sets"]["all"].update(validation=[]))
    assert "not the two statuses" in broken(lambda f: f["training_sets"]["nonreperfused"]["training"].pop())
    assert "tested more than once" in broken(lambda f: f["test"].append(f["test"][0]))
    assert "not a description" in broken(lambda f: f.pop("test"))
    (tmp_path / "folds.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_folds(tmp_path / "folds.json")
    with pytest.raises(InputError, match="does not exist"):
        read_folds(tmp_path / "none.json")
