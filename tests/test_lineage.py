"""Who made a release, what it was made from, how it may be used; its RO-Crate."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run
from environments import python_with
from releasing import change_rows, images_of, sum_again, varied_build
from verifying import findings_of

from cxrbuild.artifact import open_release
from cxrbuild.catalog import read_source
from cxrbuild.catalog.credit import Organization, Person, RelatedWork
from cxrbuild.catalog.datasheet import Datasheet
from cxrbuild.catalog.declarations import read_toml
from cxrbuild.documents import describe_citations
from cxrbuild.documents.reference import reference_of
from cxrbuild.errors import DeclarationError
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.publishing.record import record_metadata
from cxrbuild.publishing.release import read_release
from cxrbuild.releasing import release
from cxrbuild.verification.ro_crate import ro_crate_findings

# ORCID's own example.
ORCID = "0000-0002-1825-0097"
SHEET: dict[str, Any] = {
    "persons": [
        {
            "given_name": "Josiah",
            "family_name": "Carberry",
            "orcid": ORCID,
            "affiliations": [{"name": "Brown University", "ror": "https://ror.org/05gq02987"}],
        },
        {"given_name": "Ada", "family_name": "Example", "affiliations": [{"name": "A hospital"}]},
    ],
    "funding": [
        {
            "funder": {"name": "European Commission", "ror": "https://ror.org/00k4n6c32"},
            "number": "246686",
            "title": "OpenAIRE",
            "address": "https://cordis.europa.eu/project/id/246686",
        },
        {"funder": {"name": "A foundation"}},
    ],
    "related": [
        {
            "relation": "is described by",
            "identifier": "arXiv:2007.09695",
            "title": "A paper",
            "authors": "Zhong",
        },
        {"relation": "cites", "identifier": "10.1038/s42256-021-00338-7"},
    ],
    "usage": [{"name": "general research use", "term": "DUO_0000042"}],
}


@pytest.fixture(scope="module")
def described(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public release whose datasheet names persons, funding, related works and conditions of use."""
    folder = tmp_path_factory.mktemp("described")
    build = varied_build(demo, folder, ["parquet", "tfrecord"])
    document = read_json(build / "build.json")
    document["recipe"]["datasheet"] |= SHEET
    write_json(build / "build.json", document)
    release(build, "1.0.0", folder / "release")
    return folder / "release"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_croissant_has_persons_lineage_and_conditions(described: Path) -> None:
    mlc = pytest.importorskip("mlcroissant")
    document = read_json(described / "croissant.json")
    josiah, ada = document["creator"]
    assert (josiah["@id"], josiah["affiliation"][0]["@id"]) == (
        f"https://orcid.org/{ORCID}",
        "https://ror.org/05gq02987",
    )
    assert "@id" not in ada
    sources = {one["@id"]: one["version"] for one in document["prov:wasDerivedFrom"]}
    pins = open_release(described).document.declared_sources
    assert sources["urn:dataset:cohen"] == pins["cohen"].pin.commit or pins["cohen"].pin.tree
    assert len(sources) == 4
    agent = document["prov:wasGeneratedBy"]["prov:wasAssociatedWith"]
    assert agent["prov:label"].startswith("cxrbuild ")
    assert [one["termCode"] for one in document["usageInfo"]] == ["DUO_0000042"]
    assert document["sdVersion"] == document["version"] == "1.0.0"
    assert document["funding"][0]["funder"]["name"] == "European Commission"
    loaded = mlc.Dataset(described / "croissant.json").metadata
    assert not loaded.ctx.issues.errors
    assert [person.name for person in loaded.creators] == ["Josiah Carberry", "Ada Example"]


@pytest.mark.usefixtures("without_verifying")
def test_licences_that_forbid_commercial_use_are_a_condition(demo: Path, tmp_path: Path) -> None:
    build = varied_build(demo, tmp_path, ["parquet"])
    change_rows(build, images_of(build, source="mooney")["image_id"].iloc[0], license="CC-BY-NC-SA-4.0")
    release(build, "1.0.0", tmp_path / "release")
    (condition,) = read_json(tmp_path / "release" / "croissant.json")["usageInfo"]
    assert condition["url"] == "http://purl.obolibrary.org/obo/DUO_0000046"


def test_citation_has_persons_and_related_works(described: Path) -> None:
    cited = yaml.safe_load((described / "CITATION.cff").read_text())
    assert cited["authors"][0] == {
        "family-names": "Carberry",
        "given-names": "Josiah",
        "orcid": f"https://orcid.org/{ORCID}",
        "affiliation": "Brown University",
    }
    paper, other = cited["references"][:2]
    assert (paper["title"], paper["url"]) == ("A paper", "https://arxiv.org/abs/2007.09695")
    assert (paper["authors"], other["authors"]) == ([{"family-names": "Zhong"}], [{"name": "unknown"}])
    assert other["doi"] == "10.1038/s42256-021-00338-7"


def test_card_names_them(described: Path) -> None:
    card = (described / "README.md").read_text()
    for text in (
        f"- Josiah Carberry, https://orcid.org/{ORCID}, Brown University\n- Ada Example, A hospital\n",
        "- European Commission: OpenAIRE, number 246686\n- A foundation\n",
        "- This dataset is described by [A paper](https://arxiv.org/abs/2007.09695).\n",
        "- general research use (DUO\\_0000042)"
        if "DUO\\_" in card
        else "- general research use (DUO_0000042)",
    ):
        assert text in card, text


def test_record_of_a_deposit(described: Path) -> None:
    metadata = record_metadata(read_release(described), "repository.example.org")
    josiah, ada = metadata["creators"]
    assert josiah["person_or_org"]["identifiers"] == [{"scheme": "orcid", "identifier": ORCID}]
    assert ada["affiliations"] == [{"name": "A hospital"}]
    assert metadata["funding"] == [
        {
            "funder": {"name": "European Commission"},
            "award": {
                "title": {"en": "OpenAIRE"},
                "number": "246686",
                "identifiers": [
                    {"scheme": "url", "identifier": "https://cordis.europa.eu/project/id/246686"}
                ],
            },
        },
        {"funder": {"name": "A foundation"}},
    ]
    assert metadata["related_identifiers"] == [
        {"identifier": "arXiv:2007.09695", "scheme": "arxiv", "relation_type": {"id": "isdescribedby"}},
        {"identifier": "10.1038/s42256-021-00338-7", "scheme": "doi", "relation_type": {"id": "cites"}},
    ]
    assert metadata["publisher"] == "repository.example.org"


def test_ro_crate_describes_every_file(described: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    crate = rocrate.ROCrate(described)
    assert crate.version == "1.3"
    files = {entity.id: entity for entity in crate.data_entities}
    names = {path.relative_to(described).as_posix() for path in described.rglob("*") if path.is_file()}
    assert set(files) == names - {"SHA256SUMS", "ro-crate-metadata.json"}
    data = {name: entity for name, entity in files.items() if entity.get("sha256")}
    assert set(data) == {name for name in names if name.endswith(".parquet") or name.startswith("tfds/")}
    for name, entity in data.items():
        assert entity["sha256"] == sha256_of(described / name)
        assert entity["contentSize"] == str((described / name).stat().st_size)
    root = crate.root_dataset
    assert [author["name"] for author in root["author"]] == ["Josiah Carberry", "Ada Example"]
    assert {source.id for source in root["isBasedOn"]} == {
        f"urn:dataset:{name}" for name in ("cohen", "figure1", "actualmed", "mooney")
    }
    assert root["mentions"]["instrument"]["name"] == "cxrbuild"
    # Every reference leads to an entity.
    document = read_json(described / "ro-crate-metadata.json")
    known = {entity["@id"] for entity in document["@graph"]}
    assert len(known) == len(document["@graph"])
    assert set(references(document["@graph"])) <= known | {"https://w3id.org/ro/crate/1.3"}


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for one in value for name in references(one)]
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            return [value["@id"]]
        return [name for one in value.values() for name in references(one)]
    return []


VALIDATION = """
import sys
from io import BytesIO
from pathlib import Path
import requests, rocrate
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils.http import HttpRequester
from urllib3 import HTTPResponse

folder, cache = sys.argv[1:]
settings = ValidationSettings(
    rocrate_uri=folder, profile_identifier="ro-crate-1.3", requirement_severity=Severity.REQUIRED,
    cache_path=Path(cache), cache_max_age=-1, offline=True,
)
# The JSON-LD context, as ro-crate-py has it.
data = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
response = requests.Response()
response.status_code, response._content = 200, data
response.url = "https://w3id.org/ro/crate/1.3/context"
response.headers["Content-Type"] = "application/ld+json"
response.request = requests.Request("GET", response.url).prepare()
response.raw = HTTPResponse(BytesIO(data), status=200, request_url=response.url, preload_content=False)
HttpRequester().session.cache.save_response(response)
result = services.validate(settings)
print(*(f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()), sep="\\n")
sys.exit(not result.passed())
"""


# The validator needs an older rich than import-linter does, so it cannot be installed next to it.
@pytest.mark.slow
def test_ro_crate_is_valid(described: Path, tmp_path: Path) -> None:
    python = python_with(tmp_path / "venv", "roc-validator>=0.13", "rocrate>=0.16")
    ran = subprocess.run(
        [python, "-c", VALIDATION, described, tmp_path / "cache"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def edited(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        document = read_json(path)
        change(document)
        write_json(path, document)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Path.unlink, "is missing"),
        (lambda path: path.write_text("{"), "is not JSON"),
        (edited(lambda d: d["@graph"].pop()), "@graph"),
    ],
)
def test_verify_generates_ro_crate_again(
    described: Path, tmp_path: Path, edit: Callable[[Path], object], message: str
) -> None:
    shutil.copytree(described, tmp_path / "copy")
    edit(tmp_path / "copy" / "ro-crate-metadata.json")
    sum_again(tmp_path / "copy")
    found = [str(finding) for finding in findings_of(tmp_path / "copy", "generated", "ro_crate")]
    assert any("ro-crate-metadata.json" in line and message in line for line in found), found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files["ledger.parquet"].update(sha256="0" * 64), "ledger.parquet: sha256 is 000"),
        (lambda files: files["./"]["hasPart"].pop(0), "ATTRIBUTION.csv: the file is not described"),
        (lambda files: files["./"]["hasPart"].append({"@id": "README.md"}), None),
        (lambda files: files.pop("./"), "is not RO-Crate: KeyError('./')"),
    ],
)
def test_verify_checks_the_files_of_another_versions_ro_crate(
    described: Path, change: Callable[[Any], object], message: str | None, tmp_path: Path
) -> None:
    shutil.copytree(described, tmp_path / "copy")
    path = tmp_path / "copy" / "ro-crate-metadata.json"
    document = read_json(path)
    files = {entity["@id"]: entity for entity in document["@graph"]}
    change(files)
    write_json(path, document | {"@graph": list(files.values())})
    names = [p for p in described.rglob("*") if p.is_file()]
    hashes = {p.relative_to(described).as_posix(): sha256_of(p) for p in names}
    found = [str(finding) for finding in ro_crate_findings(tmp_path / "copy", hashes)]
    assert (found == []) if message is None else any(message in line for line in found), found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'persons = [{{ given_name = "A", family_name = "B", orcid = "{ORCID[:-1]}8" }}]',
            "its last character",
        ),
        ('persons = [{ given_name = "A", family_name = "B", orcid = "12" }]', "expected one such as"),
        ('persons = [{ given_name = "A" }]', "persons.0.family_name: missing"),
        (
            'persons = [{ given_name = "A", family_name = "B", ocrid = "" }]',
            "the nearest known key is `orcid`",
        ),
        ('funding = [{ funder = { name = "F", ror = "https://ror.org/1" } }]', "funding.0.funder.ror"),
        ('related = [{ relation = "likes", identifier = "10.1234/x" }]', "related.0.relation"),
        ('related = [{ relation = "cites", identifier = "a paper" }]', "expected a DOI, arXiv:NUMBER or"),
        ('usage = [{ name = "n", term = "DUO_1" }]', "usage.n.term"),
    ],
)
def test_datasheet_with_problems(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "sheet.toml").write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read_toml(tmp_path / "sheet.toml", Datasheet)
    assert message in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("identifier", "scheme", "address"),
    [
        ("doi:10.1234/ab", "doi", "https://doi.org/10.1234/ab"),
        ("https://doi.org/10.1234/ab", "doi", "https://doi.org/10.1234/ab"),
        ("https://arxiv.org/abs/2007.09695v2", "arxiv", "https://arxiv.org/abs/2007.09695v2"),
        ("https://example.org/paper", "url", "https://example.org/paper"),
    ],
)
def test_identifiers_of_works(identifier: str, scheme: str, address: str) -> None:
    work = RelatedWork(relation="cites", identifier=identifier)
    assert (work.scheme, work.address) == (scheme, address)


def test_orcid_may_be_an_address() -> None:
    person = Person(
        given_name="Josiah", family_name="Carberry", orcid=f"https://orcid.org/{ORCID}",
        affiliations=[Organization(name="Brown University")],
    )  # fmt: skip
    assert (person.orcid, person.name) == (ORCID, "Josiah Carberry")


def test_verify_reports_a_described_release_as_sound(described: Path) -> None:
    ran = run("verify", described, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["signer"] is None


@pytest.mark.parametrize(
    ("citation", "expected"),
    [
        (
            read_source("mooney").citation,
            {
                "type": "generic",
                "authors": [{"family-names": name} for name in ("Kermany", "Zhang", "Goldbaum")],
                "title": "Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
                "Classification",
                "year": 2018,
                "doi": "10.17632/rscbjbr9sj.2",
                "notes": "Mendeley Data, v2",
            },
        ),
        (
            read_source("figure1").citation,
            {
                "type": "generic",
                "authors": [{"family-names": "Chung"}],
                "title": "Figure 1 COVID-19 chest X-ray dataset initiative",
                "year": 2020,
                "url": "https://github.com/agchung/Figure1-COVID-chestxray-dataset",
            },
        ),
        (
            "de Vries, Doe et al.: Do images 2, 3 and 2019 differ? arXiv 2006.11988v2, 2020",
            {
                "type": "generic",
                "authors": [{"family-names": "de Vries"}, {"family-names": "Doe"}, {"name": "et al."}],
                "title": "Do images 2, 3 and 2019 differ?",
                "year": 2020,
                "doi": "10.48550/arXiv.2006.11988",
                "url": "https://arxiv.org/abs/2006.11988",
            },
        ),
        (
            "Jane Doe: Images. Ours",
            {"type": "generic", "authors": [{"name": "Jane Doe"}], "title": "Images. Ours"},
        ),
        ("Images", {"type": "generic", "authors": [{"name": "unknown"}], "title": "Images"}),
    ],
)
def test_citations_are_read_into_fields_where_they_have_them(citation: str, expected: object) -> None:
    assert reference_of(citation) == expected


def test_a_release_says_what_its_citations_lack() -> None:
    complete, organization = "Doe: Images, 2026, https://x.org", "World Health Organization: Images"
    assert describe_citations(None, {"a": complete, "b": None}) == []
    (note,) = describe_citations(organization, {"a": complete, "b": "Images"})
    assert "lack what is in parentheses: the recipe (year), b (authors and year). Write `citation`" in note
    (note,) = describe_citations(complete, {"a": None})
    assert note.startswith("No source has a `citation`: ")


@pytest.mark.parametrize(
    "citation",
    [
        "A. Researcher: COVID-19 or other, 2026, derived from Zhong, arXiv 2007.09695",
        "A. Researcher: COVID-19 or other, a subset of Zhong: A paper. arXiv 2007.09695, 2020",
        "Doe: Images. A journal 1, 2026, doi:10.1234/x. From Zhong, arXiv 2007.09695",
        "Doe: Images, after Zhong, 2020, doi:10.1234/x",
        "Doe: Images. arXiv 2007.09695",
    ],
)
def test_an_identifier_that_may_be_of_another_work_stays_text(citation: str) -> None:
    assert reference_of(citation) == {
        "type": "generic", "authors": [{"name": "unknown"}], "title": citation,
    }  # fmt: skip
