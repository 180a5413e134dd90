"""Plainer sentences for some reasons, in the texts for people; the measurement report tells every number.

A distance in a space of features, an overlap or a confidence means nothing to a physician, and the estimate
of an answer that is not given would be taken for one. A sentence has some of the placeholders of its code.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PLAIN_REASONS"]

PLAIN_REASONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": MappingProxyType(
            {
                "features_far": "{sequence}: the signal of the marrow differs too much from that of the training patients",
                "features_missing": "{sequence}: not everything that the model needs could be measured",
                "both_answers": "the estimate is too near the decision threshold of {threshold:.0%}",
                "neither_answer": "the measurements resemble neither those of training patients who had it nor those of patients who did not",
                "answers_disagree": "the estimate and the check of it disagree",
                "threshold_in_interval": "the estimate is too uncertain to lie clearly on one side of the decision threshold of {threshold:.0%}",
                "outlined_differently": "{other} outlines it differently",
                "levels_confidence": "the names of its levels are doubtful",
            }
        ),
        "de": MappingProxyType(
            {
                "features_far": "{sequence}: das Marksignal weicht zu sehr von dem der Trainingspatienten ab",
                "features_missing": "{sequence}: nicht alles, was das Modell braucht, war messbar",
                "both_answers": "die Schätzung liegt zu nahe an der Entscheidungsschwelle von {threshold:.0%}",
                "neither_answer": "die Messwerte gleichen weder denen der betroffenen noch denen der nicht betroffenen Trainingspatienten",
                "answers_disagree": "die Schätzung und ihre Überprüfung widersprechen sich",
                "threshold_in_interval": "die Schätzung ist zu unsicher, um klar auf einer Seite der Entscheidungsschwelle von {threshold:.0%} zu liegen",
                "outlined_differently": "die Kontur in {other} ist anders",
                "levels_confidence": "die Bezeichnungen der Wirbel sind fraglich",
            }
        ),
    }
)
"""Sentence by language and code; a code without one is told in its usual sentence."""
