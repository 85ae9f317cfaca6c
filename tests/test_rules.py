"""Rules decide on metadata alone; the first one wins; unknown is neither yes nor no."""

from __future__ import annotations

import pandas as pd
import pytest
from pydantic import ValidationError

from cxrbuild.artifact.build import recorded_recipe
from cxrbuild.catalog import Link, Recipe, Review, read_recipe, read_source
from cxrbuild.catalog.override import RuleOverride
from cxrbuild.catalog.rule import (
    DuplicateRule,
    InRule,
    LabelledRule,
    NotInRule,
    PresentRule,
    RangeRule,
    ReviewedRule,
)
from cxrbuild.curation.findings import OtherFindings, find_other_findings
from cxrbuild.errors import DeclarationError
from cxrbuild.reasons import details_without_notes
from cxrbuild.records import conform
from cxrbuild.rules import add_details, add_labels, add_reviews, apply_rules, switch_rules


def table(**columns: list[object]) -> pd.DataFrame:
    size = len(next(iter(columns.values())))
    base: dict[str, list[object]] = {
        "image_id": [f"i{n}" for n in range(size)],
        "source": ["cohen"] * size,
        "source_path": [f"{n}.png" for n in range(size)],
    }
    return conform(pd.DataFrame(base | columns))


def ruled(records: pd.DataFrame, *rules: object) -> list[str]:
    return apply_rules(records, rules)["exclusion"].fillna("").tolist()  # type: ignore[arg-type]


def rule(model: type, **keys: object):
    return model.model_validate({"name": "r", "reason": "R.", **keys})


def labelling(findings: dict[str, list[str]]) -> Recipe:
    """Return a recipe with these findings of Cohen's for each class."""
    labels = {label: {"cohen": listed} for label, listed in findings.items()}
    return read_recipe("covid19-cxr").model_copy(update={"labels": labels})


VIEWS = {"view_position": ["PA", "LATERAL", None]}


@pytest.mark.parametrize(
    ("columns", "made", "excluded"),
    [
        (VIEWS, rule(NotInRule, kind="not_in", column="view_position", values=["LATERAL"]), [1]),
        (VIEWS, rule(InRule, kind="in", column="view_position", values=["PA"], unknown="keep"), [1]),
        (VIEWS, rule(InRule, kind="in", column="view_position", values=["PA"], unknown="drop"), [1, 2]),
        (VIEWS, rule(PresentRule, kind="present", column="view_position"), [2]),
        (
            {"patient_age": [17, 18, 80, 81, None]},
            rule(RangeRule, kind="range", column="patient_age", least=18, most=80, unknown="keep"),
            [0, 3],
        ),
        (
            {"patient_age": [17, None]},
            rule(RangeRule, kind="range", column="patient_age", least=18, unknown="drop"),
            [0, 1],
        ),
        (
            {"review": ["arrow", "letter", "clean", "unseen", None]},
            rule(ReviewedRule, kind="reviewed", marks=["arrow"]),
            [0],
        ),
        (
            {"review": ["arrow", "letter", "clean", "unseen", None]},
            rule(ReviewedRule, kind="reviewed"),
            [0, 1],
        ),
        (
            {"review": ["arrow", "arrow", "unseen"], "marks_finding": [True, False, None]},
            rule(ReviewedRule, kind="reviewed", at_finding=True),
            [0],
        ),
        (VIEWS, rule(PresentRule, kind="present", column="view_position", sources=["mooney"]), []),
        (VIEWS, rule(PresentRule, kind="present", column="view_position", enabled=False), []),
    ],
)
def test_each_kind_of_rule_excludes_its_rows(
    columns: dict[str, list[object]], made: object, excluded: list[int]
) -> None:
    records = table(**columns)
    extra = table(**{key: [None] for key in columns}).assign(source="mooney", image_id="m")
    records = conform(pd.concat([records, extra], ignore_index=True))
    found = [i for i, word in enumerate(ruled(records, made)[:-1]) if word]
    assert found == excluded


def test_the_first_rule_wins_and_an_earlier_exclusion_stays() -> None:
    records = table(modality=["CT", "CT", "XR"], exclusion=["listed_twice", None, None])
    first = rule(NotInRule, kind="not_in", column="modality", values=["CT"])
    second = first.model_copy(update={"name": "second", "values": ["CT", "XR"]})
    assert ruled(records, first, second) == ["listed_twice", "r", "second"]


@pytest.mark.parametrize(
    ("values", "excluded"),
    [(["45"], [0, 2]), ([45], [0, 2]), ([45.0, "17"], [2]), (["45.5"], [0, 1, 3])],
)
def test_in_compares_numbers_as_numbers(values: list[object], excluded: list[int]) -> None:
    records = table(patient_age=[17.0, 45.0, 45.5, 45.0, None]).drop(index=4)
    made = rule(InRule, kind="in", column="patient_age", values=values, unknown="keep")
    assert [i for i, word in enumerate(ruled(records, made)) if word] == excluded
    other = rule(NotInRule, kind="not_in", column="patient_age", values=values)
    assert [i for i, word in enumerate(ruled(records, other)) if not word] == excluded


def test_in_compares_true_and_false() -> None:
    records = table(marks_finding=[True, False, None])
    assert ruled(records, rule(NotInRule, kind="not_in", column="marks_finding", values=[True])) == [
        "r",
        "",
        "",
    ]
    with pytest.raises(ValidationError, match="'true' is not true or false"):
        rule(NotInRule, kind="not_in", column="marks_finding", values=["true"])


def test_findings_are_separated_and_labelled() -> None:
    recipe = labelling({"COVID-19": ["COVID-19"], "SARS": ["SARS"]})
    records = table(finding=["COVID-19, ARDS", "SARS", "COVID-19, SARS", "COVID-19-like", None, "ARDS"])
    found = add_labels(records, recipe, [read_source("cohen")])
    assert found["label"].fillna("").tolist() == ["COVID-19", "SARS", "", "", "", ""]
    assert found["exclusion"].dropna().to_dict() == {2: "ambiguous_finding"}
    assert find_other_findings(found, recipe, {"cohen": ","}) == OtherFindings(1, {"ARDS": 1})
    # A published recipe is recorded as before the key was known.
    assert "every_finding" not in str(recorded_recipe(recipe))
    every = recipe.model_copy(
        update={
            "rules": [
                one.model_copy(update={"every_finding": True}) if isinstance(one, LabelledRule) else one
                for one in recipe.rules
            ]
        }
    )
    assert "'every_finding': True" in str(recorded_recipe(every))
    found = add_labels(records, every, [read_source("cohen")])
    assert found["label"].fillna("").tolist() == ["", "SARS", "", "", "", ""]
    assert found["exclusion"].dropna().to_dict() == {2: "ambiguous_finding"}
    assert find_other_findings(found, every, {"cohen": ","}) == OtherFindings()


SEPARATORS = [
    "|",
    " | ",
    "||",
    "+",
    "++",
    " + ",
    ".",
    "..",
    " and ",
    "*",
    "**",
    "; ",
    "\\",
    "\n",
    "(",
    "^^",
    "$$",
    "?",
]


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_finding_separator_is_literal(separator: str) -> None:
    source = read_source("cohen").model_copy(update={"finding_separator": separator})
    recipe = labelling(
        {"Clear": ["No Finding"], "Viral": ["Viral Pneumonia"], "Other": ["Pneumonia", "Finding"]}
    ).model_copy(update={"optional_findings": {"cohen": ["Finding"]}})
    findings = [
        f"No Finding{separator}Support Devices",
        f"Viral Pneumonia{separator}Edema",
        "Viral Pneumonia",
        f"Edema{separator}No Finding{separator}x",
        "Pneumonia",
    ]
    records = add_labels(table(finding=findings), recipe, [source])
    assert records["label"].fillna("").tolist() == ["Clear", "Viral", "Viral", "Clear", "Other"]


def test_a_finding_that_no_image_has_is_refused_with_the_findings_found() -> None:
    records = table(finding=["COVID-19, ARDS", "COVID-19", "SARS", None])
    recipe = labelling({"COVID-19": ["COVID19"], "SARS": ["SARS"]})
    with pytest.raises(DeclarationError) as caught:
        add_labels(records, recipe, [read_source("cohen")])
    words = str(caught.value)
    assert "labels.COVID-19.cohen: no image has the finding 'COVID19'; the nearest is 'COVID-19'" in words
    assert "findings of cohen, with their images: 'COVID-19' (2), 'ARDS' (1), 'SARS' (1)" in words
    optional = recipe.model_copy(update={"optional_findings": {"cohen": ["COVID19"]}})
    labelled = add_labels(records, optional, [read_source("cohen")])
    assert labelled["label"].fillna("").tolist() == ["", "", "SARS", ""]


def test_a_finding_of_an_excluded_image_counts_as_found() -> None:
    records = table(finding=["COVID-19"], exclusion=["row_without_file"])
    assert add_labels(records, labelling({"C": ["COVID-19"]}), [read_source("cohen")])["label"].tolist() == [
        "C"
    ]


@pytest.mark.parametrize("exclusion", ["missing_file", "unreadable_header"])
def test_a_finding_may_be_in_a_file_that_is_not_read(exclusion: str) -> None:
    records = table(finding=["COVID-19", None], exclusion=[None, exclusion])
    recipe = labelling({"COVID-19": ["COVID-19"], "SARS": ["SARS"]})
    assert add_labels(records, recipe, [read_source("cohen")])["label"].fillna("").tolist() == [
        "COVID-19",
        "",
    ]


def test_reviews_are_added_and_reviews_of_unknown_images_are_refused() -> None:
    records = table(finding=["a", "b"])
    seen = [Review("cohen", "1.png", "arrow", True, ""), Review("figure1", "x.png", "clean", False, "")]
    records = add_reviews(records, seen)
    assert records["review"].fillna("").tolist() == ["", "arrow"]
    assert records["marks_finding"].fillna(False).tolist() == [False, True]
    with pytest.raises(DeclarationError, match=r"lost\.png"):
        add_reviews(records, [Review("cohen", "lost.png", "arrow", True, "")])


def test_switches_turn_rules_on_and_off_and_report_overrides() -> None:
    recipe = read_recipe("covid19-cxr")
    same, overrides = switch_rules(recipe, {"lateral": True})
    assert (same.rules, overrides) == (recipe.rules, [])
    other, overrides = switch_rules(recipe, {"lateral": False, "ct": True})
    assert overrides == [RuleOverride(rule="lateral", switch="lateral", enabled=False)]
    assert [rule.name for rule in other.rules if not rule.enabled] == ["lateral"]
    bare = recipe.model_copy(update={"rules": [r for r in recipe.rules if r.switch != "ct"]})
    with pytest.raises(DeclarationError, match="no rule for --drop-ct"):
        switch_rules(bare, {"ct": True})


def test_the_first_kept_image_of_linked_duplicates_stays() -> None:
    def link(a: int, b: int, kind: str = "duplicate") -> Link:
        return Link(("cohen", f"{a}.png"), ("cohen", f"{b}.png"), kind, "")

    # 0, 1 and 2 are duplicates, 0 is lateral; 3 and 4 are of one patient; 5 and 6 are duplicates.
    records = table(view_position=["LATERAL", *["PA"] * 6])
    lateral = rule(NotInRule, kind="not_in", column="view_position", values=["LATERAL"])
    duplicate = rule(DuplicateRule, name="twice", kind="duplicate")
    links = [link(0, 1), link(2, 1), link(3, 4, "same patient"), link(6, 5)]
    found = apply_rules(records, [lateral, duplicate], links)["exclusion"].fillna("").tolist()
    assert found == ["r", "", "twice", "", "", "", "twice"]
    assert apply_rules(records, [duplicate])["exclusion"].isna().all()
    # A file that the source lists twice has two rows, the second of which is excluded already.
    twice = pd.concat([records, records.loc[[1]]], ignore_index=True)
    twice.loc[7, "exclusion"] = "listed_twice"
    found = apply_rules(twice, [lateral, duplicate], links)["exclusion"].fillna("").tolist()
    assert found == ["r", "", "twice", "", "", "", "twice", "listed_twice"]


def test_details_have_the_reviewers_note_and_the_kept_duplicate() -> None:
    records = table(view_position=["LATERAL", "PA", "PA", "PA", "PA"])
    notes = {0: "side view", 1: "two arrows: left", 3: ""}
    reviews = [Review("cohen", f"{n}.png", "arrow", True, note) for n, note in notes.items()]
    links = [Link(("cohen", f"{a}.png"), ("cohen", f"{b}.png"), "duplicate", "cropped") for a, b in ((4, 2),)]
    rules = [
        rule(NotInRule, name="lateral", kind="not_in", column="view_position", values=["LATERAL"]),
        rule(DuplicateRule, name="twice", kind="duplicate"),
        rule(ReviewedRule, name="annotated", kind="reviewed"),
    ]
    found = add_details(apply_rules(add_reviews(records, reviews), rules, links), rules, reviews, links)
    assert list(zip(found["exclusion"].fillna(""), found["exclusion_detail"].fillna(""), strict=True)) == [
        ("lateral", ""),
        ("annotated", "arrow: two arrows: left"),
        ("", ""),
        ("annotated", "arrow"),
        ("twice", "duplicate of i2: cropped"),
    ]
    assert found["exclusion_note"].fillna("").tolist() == ["", "two arrows: left", "", "", "cropped"]
    plain = details_without_notes(found).fillna("").tolist()
    assert plain == ["", "arrow", "", "arrow", "duplicate of i2"]
