"""The stages in order: plan what a dataset holds, and curate it."""

from cxrbuild.curation.curate import CurationResult, curate
from cxrbuild.curation.decision import decide
from cxrbuild.curation.declaration_files import (
    DeclarationFiles,
    as_shipped,
    curate_command,
    declaration_files,
    locate_recorded_recipe,
    read_declaration_files,
)
from cxrbuild.curation.declared import Declared, read_declared
from cxrbuild.curation.differing_rows import require_new_file, write_undecided, writing_refused
from cxrbuild.curation.document import build_document, source_states
from cxrbuild.curation.expectation import check_expectation
from cxrbuild.curation.findings import findings_without_class
from cxrbuild.curation.holder import (
    WithdrawnHolder,
    describe_holders,
    describe_no_holders,
    describe_other_images,
)
from cxrbuild.curation.plan import Plan, make_plan
from cxrbuild.curation.plan_folder import require_plan_folder, write_plan
from cxrbuild.curation.present import read_present
from cxrbuild.curation.previous import PreviousVersion, read_previous, require_unchanged_ledger
from cxrbuild.curation.seal import sealed_hash
from cxrbuild.curation.withdrawn import describe_kept_duplicates, find_holders
from cxrbuild.curation.withdrawn_since import require_not_withdrawn_since

__all__ = [
    "CurationResult",
    "DeclarationFiles",
    "Declared",
    "Plan",
    "PreviousVersion",
    "WithdrawnHolder",
    "as_shipped",
    "build_document",
    "check_expectation",
    "curate",
    "curate_command",
    "decide",
    "declaration_files",
    "describe_holders",
    "describe_kept_duplicates",
    "describe_no_holders",
    "describe_other_images",
    "find_holders",
    "findings_without_class",
    "locate_recorded_recipe",
    "make_plan",
    "read_declaration_files",
    "read_declared",
    "read_present",
    "read_previous",
    "require_new_file",
    "require_not_withdrawn_since",
    "require_plan_folder",
    "require_unchanged_ledger",
    "sealed_hash",
    "source_states",
    "write_plan",
    "write_undecided",
    "writing_refused",
]
