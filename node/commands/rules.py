"""Commands that try and show the rules about what is taken."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import opened_store
from node.commands.terminal import (
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    console,
    error_console,
    load_configuration,
    print_json,
    show_rows,
)

if TYPE_CHECKING:
    from node.domain.rules import Rule
    from node.operate.rule_trial import TriedSeries

__all__ = ["list_rules", "try_on_files"]

_DECISION = {True: "taken", False: "discarded"}


def try_on_files(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders that hold them.")],
    source: Annotated[
        str, typer.Option(help="AE title that would send the files. Default: it counts as not known.")
    ] = "",
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say of each series in files which rule would take or discard it, and why. Nothing is sent or stored.

    Exit status:
    0  done
    2  wrong usage or configuration
    """
    from node.operate.rule_trial import try_rules

    rules = load_configuration(config).rules
    try:
        trial = try_rules(rules, paths, source)
    except FileNotFoundError as error:
        error_console.print(str(error), style="red")
        raise typer.Exit(EXIT_USAGE) from None
    if as_json:
        print_json(answers.rule_trial(trial))
        return
    columns = ("Series", "Images", "Decision", "Why", "Description")
    show_rows(columns, [_row(one) for one in trial.series])
    taken = sum(one.verdict.take for one in trial.series)
    error_console.print(f"{taken} taken, {len(trial.series) - taken} discarded.", highlight=False)
    if trial.unreadable:
        error_console.print(f"Not DICOM, or damaged: {trial.unreadable}", highlight=False)


def _row(one: "TriedSeries") -> tuple[str, ...]:
    facts = one.facts
    told = " / ".join(
        text for text in (facts.modality, facts.study_description, facts.series_description) if text
    )
    return one.series_uid, str(one.images), _DECISION[one.verdict.take], one.why, told


def list_rules(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    r"""List the rules in their order, with how many objects of how many studies each has discarded.

    The counts go back as far as \[storage] retention_days, over restarts of the node.

    Exit status:
    0  listed
    1  a fault
    2  wrong usage or configuration
    """
    from node.operate.rule_trial import conditions_of

    configuration = load_configuration(config)
    with opened_store(configuration, as_json=as_json) as store:
        counts = dict(store.discards())
    if as_json:
        print_json(answers.rules(configuration.rules, counts))
        return
    rows: list[tuple[str, ...]] = [
        (rule.name, "take" if rule.take else "discard", *_counted(rule, counts), conditions_of(rule))
        for rule in configuration.rules
    ]
    gone = set(counts) - {rule.name for rule in configuration.rules}
    rows += [(name, "discard", *map(str, counts[name]), "no longer configured") for name in sorted(gone)]
    if rows:
        show_rows(("Rule", "Decision", "Objects", "Studies", "Conditions"), rows)
    else:
        console.print("There are no rules: all that arrives is taken.")


def _counted(rule: "Rule", counts: dict[str, tuple[int, int]]) -> tuple[str, str]:
    """Return how many objects and studies a rule has discarded; what it took is not counted."""
    objects, studies = counts.get(rule.name, (0, 0))
    return ("", "") if rule.take else (str(objects), str(studies))
