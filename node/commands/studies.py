"""Commands that list and explain the studies of a node."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import answers
from node.commands.choice import StudyArgument, one_study, opened_store
from node.commands.terminal import (
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    console,
    error_console,
    load_configuration,
    print_json,
    show_rows,
)
from node.domain.study import StudyState

if TYPE_CHECKING:
    from node.domain.records import StudyQuery

__all__ = ["models", "studies", "why"]

_DAY = ["%Y-%m-%d"]


def studies(
    config: ConfigOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of studies to list.")] = 50,
    state: Annotated[
        list[StudyState] | None,
        typer.Option(help="Only studies in this state. May be given several times.", show_default=False),
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option(
            formats=_DAY, help="Only studies whose last image came on this day (UTC).", metavar="DAY"
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=_DAY, help="Only studies whose last image came on this day or later.", metavar="DAY"
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=_DAY, help="Only studies whose last image came on this day or before.", metavar="DAY"
        ),
    ] = None,
    destination: Annotated[
        str, typer.Option(help="Only studies with results for the destination of this name.")
    ] = "",
    text: Annotated[str, typer.Option(help="Only studies whose UID or reason holds these words.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the studies that arrived, each with its state and the reason for it, latest first.

    A program that reads the list gets a line for each study, with tabs between the values.
    """
    if day and (since or until):
        error_console.print("Give either --day or --since and --until.", style="red")
        raise typer.Exit(EXIT_USAGE)
    query = _query(state, day or since, day or until, destination, text)
    with opened_store(load_configuration(config), as_json=as_json) as store:
        found = store.studies(limit, query)
    if as_json:
        print_json([answers.study(one) for one in found])
        return
    rows = [(one.study_uid, one.state.value, _moment(one.changed_at), one.reason) for one in found]
    show_rows(("Study", "State", "Since", "Reason"), rows)


def _query(
    states: list[StudyState] | None,
    first: datetime | None,
    last: datetime | None,
    destination: str,
    text: str,
) -> "StudyQuery":
    from node.domain.records import StudyQuery

    return StudyQuery(
        states=frozenset(states or ()),
        since=first and first.replace(tzinfo=UTC),
        until=last and last.replace(tzinfo=UTC) + timedelta(days=1),
        destination=destination,
        text=text,
    )


def models(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    r"""Compare models in the shadow with the chosen one, by the answers that are kept of each study.

    Name models to compare in \[models] shadow. Scores are shown by scanner and month, too. Nothing of a
    shadow is ever delivered.
    """
    from node.domain.model_comparison import STATES, compare_models
    from node.show.model_words import SCORE_COLUMNS, answer_rows, facts_of, score_rows, title_of

    with opened_store(load_configuration(config), as_json=as_json) as store:
        found = compare_models(store.model_answers())
    if as_json:
        print_json(answers.comparison(found))
        return
    if not found.models:
        console.print("No study has answers of a chosen model and of one in the shadow yet.")
    for one in found.models:
        console.print(title_of(one), style="bold", highlight=False, markup=False)
        show_rows(("Figure", "Value"), facts_of(one))
        columns = ("Chosen \\ shadow", *(str(state) for state in STATES))
        show_rows(columns, [(str(state), *map(str, counts)) for state, counts in answer_rows(one)])
    for group, scores in (("Scanner", found.by_scanner), ("Month", found.by_month)):
        if scores:
            show_rows((group, "Target", "Model", *SCORE_COLUMNS), score_rows(scores))


def why(study: StudyArgument, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Explain in one paragraph why a study has no result.

    The study may be named by the patient, too: family name, or family and given name.

    Exit status:
    0  explained
    1  a fault
    2  wrong usage or configuration
    4  no study, or more than one, has this name; if rules discarded all of it, this is told
    """
    from node.show.why import MEANING, explain
    from node.store import open_notices

    configuration = load_configuration(config)
    with opened_store(configuration, as_json=as_json) as store:
        if store.study(study) is None and (store.wishes(study) or store.discarded(study)):
            is_asked_for = bool(store.wishes(study))
            _explain_absent(explain(store, study), is_asked_for=is_asked_for, as_json=as_json)
            return
        named = one_study(store, configuration, study, as_json=as_json, by_person=True)
        names = [there.name for there in configuration.destinations]
        with closing(open_notices(configuration)) as box:
            words = explain(store, named.study_uid, names, box.notices(named.study_uid))
        if not as_json:
            console.print(words)
            return
        images = store.count_instances(named.study_uid)
        deliveries = [answers.delivery(one) for one in store.deliveries(named.study_uid)]
    more = {"meaning": MEANING[named.state], "images": images, "deliveries": deliveries}
    print_json(answers.study(named) | more | {"explanation": words})


def _explain_absent(words: str, *, is_asked_for: bool, as_json: bool) -> None:
    """Explain a study of which nothing is here; for a program, and if it was not asked for, it is unknown."""
    if as_json:
        print_json({"error": "unknown", "message": words, "candidates": []})
    else:
        console.print(words)
    if as_json or not is_asked_for:
        raise typer.Exit(EXIT_NOT_FOUND)


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
