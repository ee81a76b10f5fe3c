"""Where the paper contradicts itself, table by table, in plain sentences. The software computes what the equations say and copies none of it."""

SWAPPED = (
    "The paper's precision and recall columns are exchanged: its non-reperfused model predicts larger volumes, yet its printed recall is lower and "
    "its precision higher; compare the printed precision with the recall here, and the printed recall with the precision."
)
FIRST_ROW = (
    "The printed first row {where} repeats table 2(c), general model. By table 2(a), reperfused model, it should read 0.44 ± 0.25, 0.70 ± 0.27, "
    "0.50 ± 0.27, 0.50 ± 0.26, 38.58 ± 18.1."
)
TRUNCATED = "The paper truncates standard deviations of HD instead of rounding them (15.66 is printed as 15.6): differences up to 0.1 mean nothing."
NO_UNIT = "The paper gives no unit for HD."
HEADLINE = (
    "The paper's headline is a direction, not a significant difference: status-specific against general model on DSC has p = 0.43 (reperfused "
    "patients) and p = 0.17 (non-reperfused patients) in its own table 2."
)
GENERAL = (
    SWAPPED,
    "The sentences of sections 3.1 and 3.2 on false positives and false negatives inherit this exchange.",
    HEADLINE,
    "The final lesion is called that of day 6, but in I-KNOW it was drawn on day 30.",
    TRUNCATED,
)
OF_TABLE = {
    "2": (SWAPPED, HEADLINE, TRUNCATED, NO_UNIT),
    "3": (SWAPPED, FIRST_ROW.format(where="of the reperfused patients (CNN)"), TRUNCATED, NO_UNIT),
    "4": (SWAPPED, FIRST_ROW.format(where="of (a)"), TRUNCATED, NO_UNIT),
    "C.6": (
        SWAPPED,
        "The paper's stars in (a) differ from its p-values in table 2: late reperfused lacks (`***`) on precision and (`*`) on HD, and late "
        "nonreperfused shows (`***`) on precision for p = 0.0069. The comparison with the paper reads them by table 2.",
        "The paper's text says that late fusion is higher whatever the training set and that early fusion has the lowest HD; several cells of its "
        "own table say otherwise.",
        NO_UNIT,
    ),
}
AUC = (
    "The paper's 0.79 for the mismatch model in reperfused patients does not go with its printed recall of 0.33: the AUC of a binary mask is (recall "
    "+ specificity) / 2, at most 0.665 there. With precision and recall exchanged it is at most 0.855.",
    "The paper names no mode for its AUC, so its value stands beside each mode here.",
)
TABLE_A5 = (
    "The paper's counts of M2 and ICA + M2 occlusions do not fit its section 4.4, which gives 12 M2 occlusions in I-KNOW alone where table A.5 "
    "has 5 in all.",
)
_FOLDS = (
    "92 + 17 patients in five folds give 90 to 92 training patients of the general model and 31 to 32 of the non-reperfused one; the printed 89 to "
    "91 and 30 to 31 fit 108 patients."
)
_RESPONDERS = "53 responders are 57.6 % of the 92 tested patients; about 50 % is 53 of all 109."
OF_FACT = {
    "AUC mismatch reperfused mean": AUC[0],
    "predicted volume p-value": "By R's default, the normal approximation from 50 patients on, 74 reperfused patients give at least p = 7.9e-14: "
    "4.5e-16 needs the 92 tested patients together.",
    "responders (substantially larger non-reperfused prediction)": _RESPONDERS,
    "responders percentage": _RESPONDERS,
    "training patients general model": _FOLDS,
    "training patients non-reperfused model": _FOLDS,
    **dict.fromkeys(("occlusion M2", "occlusion intracranial ICA + M2", "M2 occlusions of non-reperfused I-KNOW patients"), TABLE_A5[0]),
}
