"""The command `init`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrbuild.cli.command import Command
from cxrbuild.cli.options import PATH, output_options
from cxrbuild.cli.output import Output
from cxrbuild.errors import name_some

if TYPE_CHECKING:
    from cxrbuild.proposing import Answers, Decision, Proposal

_MOST_WORDS = 20


@click.command(cls=Command)
@click.argument("path", type=PATH)
@click.option("--images", type=PATH, metavar="DIR", help="Folder of the images, if not the CSV file's.")
@click.option(
    "--out", type=PATH, default=Path(), show_default="the current folder", metavar="DIR",
    help="Folder to write both files to.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the source.  [default: the folder's]")
@click.option(
    "--column", "columns", multiple=True, metavar="OURS=THEIRS",
    help="Take a column of the metadata, such as finding=diagnosis; THEIRS may be `none`. Repeatable.",
)  # fmt: skip
@click.option(
    "--license", metavar="SPDX", default="unknown", show_default=True, help="Licence of the images."
)
@click.option("--public", is_flag=True, help="The files are published: keep names and patient numbers.")
@click.option("--yes", is_flag=True, help="Ask nothing and accept the proposal.")
@output_options
def init(
    path: Path,
    images: Path | None,
    out: Path,
    name: str | None,
    columns: tuple[str, ...],
    license: str,  # noqa: A002 - the name of the option
    public: bool,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Propose a source and a recipe for your own images.

    PATH is a CSV file, a folder of images with or without CSV files, or a folder of DICOM files. The command
    reads the files and proposes which column is the image, the finding, the patient, the view, the age and so
    on, and how certain each choice is. On a terminal it asks about uncertain choices; elsewhere use --yes or
    --json. It writes NAME.toml and NAME-recipe.toml, overwrites nothing, and prints the next commands.
    """
    asking = not yes and not as_json
    if asking and not sys.stdin.isatty():
        raise click.UsageError("init asks questions, and standard input is no terminal; add --yes or --json")
    output = Output(quiet=quiet, as_json=as_json)
    given = dict(_column(column) for column in columns)
    # Libraries are imported within it: they may take as long as looking at the files.
    with output.progress(f"looking at {path}", None, ""):
        from cxrbuild.proposing import Answers, propose

        answers = Answers(given, public, name, license)
        proposal = propose(path, images=images, answers=answers, progress=output.progress)
    proposal.require_free(out)
    # The reader of a pipe may go before all is printed, as `head` does: what it is about is there by then.
    written = [] if asking else proposal.write(out)
    report_proposal(output, proposal)
    while asking and (changed := _ask(proposal, answers)) is not None:
        answers = changed
        with output.progress(f"looking at {path}", None, ""):
            proposal = propose(path, images=images, answers=answers, progress=output.progress)
        report_proposal(output, proposal)
    if asking:
        click.confirm("Write these two files?", default=True, abort=True)
        written = proposal.write(out)
    for file in written:
        output.show(f"Written: {file}")
    if proposal.to_credit:
        output.show(
            f"Required by {name_some(proposal.to_credit)}: write whom to credit under [columns.attribution] "
            f"in {written[0]}. A public release is refused without it."
        )
    output.show("Read both files, correct them, and then:")
    commands = proposal.commands(out)
    for command in commands:
        output.show(f"    {command}")
    output.result(
        "init-1", proposal.to_dict() | {"written": [str(file) for file in written], "next": commands}
    )


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise click.BadParameter(f"{text!r} is not OURS=THEIRS", param_hint="--column")
    return ours, theirs


def report_proposal(output: Output, proposal: Proposal) -> None:
    """Report what was decided, how sure that is, the words that were found, and the trial plan."""
    output.show(f"Source {proposal.name}: {proposal.root}")
    output.table(
        ["subject", "from", "certainty"],
        [[one.subject, one.choice or "none", one.certainty] for one in proposal.decisions],
    )
    output.show("")
    for one in proposal.decisions:
        if one.certainty in ("likely", "not sure"):
            output.show(f"{one.subject} ({one.certainty}): {one.reason}.")
    if missing := [one.subject for one in proposal.decisions if one.certainty == "not found"]:
        output.show(f"Not found: {', '.join(missing)}.")
    if proposal.unused:
        shown = name_some(map(repr, proposal.unused), _MOST_WORDS)
        output.show(f"Columns that are not used: {shown}. Take one with --column OURS=THEIRS.")
    output.show("")
    for column in dict.fromkeys(word.column for word in proposal.words):
        words = [word for word in proposal.words if word.column == column]
        shown = ", ".join(f"{word.word or '(blank)'} {word.rows:,}" for word in words[:_MOST_WORDS])
        more = f" and {len(words) - _MOST_WORDS:,} more words" if len(words) > _MOST_WORDS else ""
        output.show(f"{column}: {shown}{more}.")
    if proposal.excluded:
        steps = ", ".join(f"{name} {n:,}" for name, n in proposal.excluded.items())
        output.show(f"Findings are counted without what steps before the rules exclude: {steps}.")
    output.show("")
    splits = list(next(iter(proposal.classes.values()), {}))
    output.table(
        ["class", *splits],
        [[label, *(counts[split] for split in splits)] for label, counts in proposal.classes.items()],
    )
    output.show("")
    if proposal.is_estimate:
        check = " Then check whether the classes of `allow_empty` need it." if proposal.allows_empty else ""
        output.show(
            "The images of each split are an estimate: `plan` and `curate` hash patient numbers with the "
            f"patient key, which draws other patients. `plan` shows the split.{check}"
        )
        output.show("")


def _ask(proposal: Proposal, answers: Answers) -> Answers | None:
    """Ask about the next undecided column; ``None`` when there is none left."""
    from dataclasses import replace

    from cxrbuild.proposing.propose import ASKED

    open_questions = [
        one
        for one in proposal.decisions
        if one.certainty == "not sure" and one.subject in ASKED and one.subject not in answers.columns
        and (one.alternatives or one.subject == "finding")
    ]  # fmt: skip
    if proposal.rows is None or not open_questions:
        return None
    decision = open_questions[0]
    return replace(answers, columns={**answers.columns, decision.subject: _answer(decision)})


def _answer(decision: Decision) -> str:
    choices = [*([decision.choice] if decision.choice else []), *decision.alternatives, "none"]
    choices = list(dict.fromkeys(choices))
    click.echo(f"\n{decision.subject}: {decision.reason}.")
    for number, choice in enumerate(choices, 1):
        click.echo(f"  {number}  {choice}")
    chosen: int = click.prompt(
        f"Which column is {decision.subject}?", type=click.IntRange(1, len(choices)),
        default=1 if decision.choice else len(choices),
    )  # fmt: skip
    return choices[chosen - 1]
