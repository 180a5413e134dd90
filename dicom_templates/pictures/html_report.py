"""The report as an HTML page, for a workstation without a DICOM viewer."""

import base64

from dicom_templates.pictures.canvas import unbroken
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.whom import named

__all__ = ["page_html"]


def page_html(report: StudyReport, summary: bytes) -> str:
    """Write the report as one self-contained HTML page.

    Parameters
    ----------
    report : StudyReport
        The report in words.
    summary : bytes
        The summary picture as PNG; empty for a page without it.

    Returns
    -------
    str
        The page, with the summary picture inside. It loads nothing and runs no script. It names the patient,
        as far as the report does, also on every page when it is printed.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_on_one_line
    )
    template = environment.from_string(_PAGE)
    language = LANGUAGES[report.texts.language].tag
    whom = named(report.whom, report.texts) if report.whom is not None else ()
    foot = " · ".join(
        [*(value for _, value in whom[:3]), *([report.study_date] if report.study_date else [])]
    )
    return template.render(
        report=report,
        texts=report.texts,
        whom=whom,
        # No letter that could be markup is left in these two.
        foot=_css_string(foot),
        page=_page_of(report),
        sign=_SIGN,
        picture=base64.b64encode(summary).decode("ascii"),
        language=language,
    )


def _on_one_line(value: object) -> object:
    """Keep numbers with their signs and units; what is markup or no text stays as it is."""
    return unbroken(value) if type(value) is str else value


def _css_string(words: str) -> str:
    r"""Write words as a string of CSS in which no letter can end it: all but letters and digits as numbers.

    Examples
    --------
    >>> _css_string('a"b')
    '"a\\22 b"'
    """
    told = "".join(one if one.isalnum() and one.isascii() else f"\\{ord(one):x} " for one in words)
    return f'"{told}"'


def _page_of(report: StudyReport) -> str:
    """Write "page 1 of 2" as CSS, whose counters fill the numbers."""
    before, between, after = report.texts("page", number="\0", count="\0").split("\0")
    parts = (_css_string(before), "counter(page)", _css_string(between), "counter(pages)", _css_string(after))
    return " ".join(parts)


_SIGN = {"ABOVE": "▲", "BELOW": "▼", "INDETERMINATE": "?"}
"""The symbols of the badges on the summary picture."""

_PAGE = """<!DOCTYPE html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ report.title }}</title>
<style>
:root { color-scheme: light dark; --ink: #14181f; --quiet: #566273; --rule: #d8dde4; --card: #f5f7f9;
  --page: #fff;   --above: #a86200; --below: #0b6fa8; --indeterminate: #566273; }
@media (prefers-color-scheme: dark) { :root { --ink: #ecf0f5; --quiet: #a4aebc; --rule: #343c48;
  --card: #171c23;  --page: #0d1015; --above: #e69f00; --below: #56b4e9; --indeterminate: #b0b7c3; } }
body { margin: 0 auto; max-width: 64rem; padding: 0 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.warning { margin: 0 -1.25rem; padding: .7rem 1.25rem; background: #f0e442; color: #000; font-weight: 700;
  text-align: center; }
header { margin: 1.5rem 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.quiet, header p { color: var(--quiet); margin: .15rem 0; }
.answers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
.answer { background: var(--card); border-left: .35rem solid var(--indeterminate); border-radius: .4rem;
  padding: .9rem 1.1rem; }
.answer.above { border-color: var(--above); } .answer.below { border-color: var(--below); }
.answer h3 { margin: 0; font-size: 1.05rem; } .answer p { margin: .2rem 0; }
.verdict { display: inline-block; font-weight: 700; padding: .1rem .6rem; border-radius: 1rem;
  background: #8c94a0; color: #000; }
.above .verdict { background: #ffc43d; color: #000; } .below .verdict { background: #005c96; color: #fff; }
.value { font-size: 1.9rem; font-weight: 700; }
img { display: block; width: 100%; height: auto; border-radius: .4rem; margin-top: 1.25rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule); }
th { color: var(--quiet); font-weight: 400; }
tr.excluded td { color: var(--above); }
ul { padding-left: 1.1rem; } li { margin: .25rem 0; overflow-wrap: anywhere; }
.whom { display: flex; flex-wrap: wrap; gap: .1rem 1.5rem; margin: .4rem 0; }
.whom dt { color: var(--quiet); display: inline; } .whom dd { display: inline; margin: 0; font-weight: 700; }
@page { margin: 14mm 12mm 16mm; @bottom-left { content: {{ foot | safe }}; font: 8pt sans-serif; }
  @bottom-right { content: {{ page | safe }}; font: 8pt sans-serif; } }
h2 { break-after: avoid; } tr, li { break-inside: avoid; }
@media print { body { max-width: none; padding: 0; font-size: 9pt; line-height: 1.35; }
  .warning { margin: 0; border: 2px solid #000; } .answer { break-inside: avoid; padding: .4rem .8rem; }
  header { margin: .6rem 0; } h1 { font-size: 14pt; } h2 { font-size: 10.5pt; margin: .7rem 0 .2rem; }
  ul { margin: .3rem 0; } li { margin: .1rem 0; } th, td { padding: .05rem .8rem .05rem 0; }
  .value { font-size: 14pt; } img { width: auto; max-width: 100%; max-height: 115mm; margin: .6rem auto; } }
</style>
</head>
<body>
{% if report.warning %}
<p class="warning" role="alert">{{ report.warning }}</p>
{% endif %}
<header>
<h1>{{ report.title }}</h1>
{% if whom %}
<dl class="whom">
{% for label, value in whom %}
<div><dt>{{ texts.labelled(label, "") | trim }}</dt> <dd>{{ value }}</dd></div>
{% endfor %}
</dl>
{% endif %}
<p>{% if report.study_date %}{{ texts("study_of", date=report.study_date) }} &middot; {% endif %}
{{ report.analysed }}</p>
</header>
{% if report.holds %}
<p><strong>{{ report.holds }}</strong></p>
{% endif %}
{% if report.measurements_only %}
<p><strong>{{ texts("no_model") }}</strong></p>
{% endif %}
{% for section in report.sections %}
<h2>{{ section.heading }}</h2>
{% if section.key == "result" and report.answers %}
<div class="answers">
{% for answer in report.answers %}
<section class="answer {{ answer.verdict.name | lower }}">
<h3>{{ answer.name }}</h3>
<p class="quiet">{{ answer.definition }}</p>
{% if answer.value %}
<p><span class="value">{{ answer.value }}</span> {{ texts("probability_word") }},
<span class="verdict">{{ sign[answer.verdict.name] }} {{ answer.verdict_text }}</span></p>
<p>{{ answer.interval }}</p>
{% else %}
<p><span class="verdict">{{ sign[answer.verdict.name] }} {{ answer.verdict_text }}</span>,
{{ texts("no_number") }}</p>
{% endif %}
{% for reason in answer.reasons %}
<p>{{ reason }}</p>
{% endfor %}
{% if answer.figures %}
<p class="quiet">{{ answer.figures }}</p>
{% endif %}
{% if answer.basis %}
<p class="quiet">{{ answer.basis }}</p>
{% endif %}
</section>
{% endfor %}
</div>
{% endif %}
<ul>
{% for line in section.lines if line not in section.elsewhere %}
<li>{{ line }}</li>
{% endfor %}
</ul>
{% if section.key == "findings" and report.levels %}
<table>
<thead><tr><th>{{ texts("level_names") }}</th><th></th><th>{{ texts("volume") }} (ml)</th>
<th>{{ texts("signal") }}</th><th>VBQ</th><th></th></tr></thead>
<tbody>
{% for row in report.levels %}
<tr{% if not row.usable %} class="excluded"{% endif %}><td>{{ row.name }}</td>
<td>{{ texts.weighting(row.contrast) }}</td>
<td>{{ row.volume }}</td><td>{{ row.signal }}</td><td>{{ row.vbq }}</td>
<td>{% if not row.usable %}{{ texts("excluded") }}{% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{% if section.key == "findings" and picture %}
<img src="data:image/png;base64,{{ picture }}" alt="{{ report.title }}">
{% endif %}
{% endfor %}
</body>
</html>
"""
