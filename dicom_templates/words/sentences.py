"""Every sentence and word that our reports say by themselves, in every language.

The sentences of the science (reasons and concerns) stand in `analysis.domain.english` and `german_reasons`.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["SENTENCES"]

SENTENCES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # --- First line of everything -------------------------------------------------------------
        "simulated": {
            "en": "NOT FOR CLINICAL USE: these probabilities come from a model trained on SIMULATED "
            "patients.",
            "de": "NICHT FÜR DIE KLINIK: Diese Wahrscheinlichkeiten stammen von einem Modell, "
            "das an SIMULIERTEN Patienten trainiert wurde.",
        },
        "simulated_holds": {
            "en": "For real patients: outlines and VBQ are measured in these images and hold; the "
            "probabilities do not.",
            "de": "Für echte Patienten: Konturen und VBQ sind in diesen Bildern gemessen und gelten; die "
            "Wahrscheinlichkeiten gelten nicht.",
        },
        "simulated_short": {
            "en": "MODEL TRAINED ON SIMULATED PATIENTS - NOT FOR CLINICAL USE",
            "de": "MODELL AN SIMULIERTEN PATIENTEN TRAINIERT - NICHT FÜR DIE KLINIK",
        },
        "simulated_tag": {"en": "SIMULATED MODEL", "de": "SIM-MODELL"},
        # --- Titles -------------------------------------------------------------------------------
        "title": {
            "en": "Bone density risk from lumbar spine MRI",
            "de": "Knochendichterisiko aus der LWS-MRT",
        },
        "title_measurements": {
            "en": "Bone measurements from lumbar spine MRI",
            "de": "Knochenmesswerte aus der LWS-MRT",
        },
        "refusal_title": {
            "en": "No bone density result for this study",
            "de": "Kein Knochendichteergebnis für diese Untersuchung",
        },
        "result": {"en": "Result", "de": "Ergebnis"},
        "why_none": {"en": "Why", "de": "Warum"},
        "bone_quality": {"en": "Vertebral bone quality (VBQ)", "de": "Vertebral Bone Quality (VBQ)"},
        "measured": {"en": "What was measured", "de": "Was gemessen wurde"},
        "meaning": {"en": "What it means", "de": "Was das bedeutet"},
        "sure": {"en": "How sure it is", "de": "Wie sicher das ist"},
        "next": {"en": "What to do next", "de": "Weiteres Vorgehen"},
        "images": {"en": "Images used and their quality", "de": "Verwendete Bilder und ihre Qualität"},
        "about": {"en": "What this is not", "de": "Was dies nicht ist"},
        # The default; a site may have its own. Neutral: neither answer calls for or against an examination.
        "next_step": {
            "en": "Whether DXA is indicated is a clinical decision and does not follow from this result. "
            "ISCD 2023: "
            "women from 65 and men from 70 years; earlier with risk factors, after a fragility fracture, or "
            "with a "
            "disease or drug that causes bone loss.",
            "de": "Ob eine DXA angezeigt ist, wird klinisch entschieden und folgt nicht aus diesem Ergebnis. "
            "ISCD 2023: Frauen ab 65 und Männer ab 70 Jahren; früher bei Risikofaktoren, nach einer "
            "Fragilitätsfraktur oder bei Erkrankungen oder Medikamenten, die zu Knochenverlust führen.",
        },
        "series_report": {"en": "Report", "de": "Bericht"},
        "series_values": {"en": "Values", "de": "Werte"},
        "series_picture": {"en": "Picture", "de": "Bild"},
        "series_document": {"en": "PDF", "de": "PDF"},
        "series_outlines": {"en": "Outlines", "de": "Konturen"},
        "series_refused": {"en": "no result, see reason", "de": "kein Ergebnis, siehe Grund"},
        "osteoporosis": {"en": "Osteoporosis", "de": "Osteoporose"},
        "abnormal_density": {"en": "Abnormal bone density", "de": "Verminderte Knochendichte"},
        "osteoporosis_short": {"en": "OP", "de": "Osteoporose"},
        "abnormal_density_short": {"en": "low BMD", "de": "niedrige BMD"},
        "above_short": {"en": "{target} > {threshold}", "de": "{target} > {threshold}"},
        "below_short": {"en": "{target} < {threshold}", "de": "{target} < {threshold}"},
        "indeterminate_short": {"en": "{target} undecided", "de": "{target} offen"},
        "risk_short": {"en": "risk of {answers}", "de": "Risiko {answers}"},
        # --- Answers ------------------------------------------------------------------------------
        # Always beside the probability, so that nobody takes it for the bone density.
        "above": {
            "en": "ABOVE the decision threshold of {threshold}",
            "de": "ÜBER der Entscheidungsschwelle von {threshold}",
        },
        "below": {
            "en": "BELOW the decision threshold of {threshold}",
            "de": "UNTER der Entscheidungsschwelle von {threshold}",
        },
        "indeterminate": {"en": "INDETERMINATE", "de": "UNBESTIMMT"},
        "above_badge": {"en": "ABOVE threshold {threshold}", "de": "ÜBER Schwelle {threshold}"},
        "below_badge": {"en": "BELOW threshold {threshold}", "de": "UNTER Schwelle {threshold}"},
        "indeterminate_badge": {"en": "INDETERMINATE", "de": "UNBESTIMMT"},
        "probability_word": {"en": "probability", "de": "Wahrscheinlichkeit"},
        "answered": {
            "en": "In cross-validation {answered} of {patients} patients got an answer, {open} stayed "
            "indeterminate; prevalence {prevalence} ({present}). Of the answers given: {figures}.",
            "de": "In der Kreuzvalidierung war bei {answered} von {patients} Patienten eine Aussage möglich, "
            "{open} blieben unbestimmt; Prävalenz {prevalence} ({present}). Von den getroffenen Aussagen: "
            "{figures}.",
        },
        "answered_brief": {
            "en": "Own cohort only: {auc}prevalence {prevalence} of {patients}; {answered} answers "
            "({open} open): {figures}.",
            "de": "Nur eigene Kohorte: {auc}Prävalenz {prevalence} von {patients}; {answered} Aussagen "
            "({open} offen): {figures}.",
        },
        "answered_none": {
            "en": "In cross-validation on {patients} patients none got an answer.",
            "de": "In der Kreuzvalidierung an {patients} Patienten war keine Aussage möglich.",
        },
        "figure_interval": {"en": "{value} ({low} to {high})", "de": "{value} ({low} bis {high})"},
        "all_patients": {
            "en": "AUC of all patients {auc}.",
            "de": "AUC aller Patienten {auc}.",
        },
        "auc_brief": {"en": "AUC {auc}; ", "de": "AUC {auc}; "},
        "own_cohort": {
            "en": "Judged on its own cohort only.",
            "de": "Nur an der eigenen Kohorte geprüft.",
        },
        "trained_range": {"en": "Trained with {range}.", "de": "Trainiert mit {range}."},
        "from_to": {"en": "{low} to {high}", "de": "{low} bis {high}"},
        "ppv": {
            "en": "of those above the threshold {value} had it (PPV)",
            "de": "von denen über der Schwelle waren {value} betroffen (PPW)",
        },
        "npv": {
            "en": "of those below {value} did not (NPV)",
            "de": "von denen darunter waren {value} nicht betroffen (NPW)",
        },
        "sensitivity": {"en": "sensitivity {value}", "de": "Sensitivität {value}"},
        "specificity": {"en": "specificity {value}", "de": "Spezifität {value}"},
        "ppv_brief": {"en": "PPV {value}", "de": "PPW {value}"},
        "npv_brief": {"en": "NPV {value}", "de": "NPW {value}"},
        "sensitivity_brief": {"en": "sens. {value}", "de": "Sens. {value}"},
        "specificity_brief": {"en": "spec. {value}", "de": "Spez. {value}"},
        "interval_means": {
            "en": "The 95 % interval was learned on patients with simulated targets, whose true "
            "probability is known. For others of the same kind it held the true one in nine "
            "cases of ten, and less often where the relation is not linear. For patients of "
            "another kind it says nothing.",
            "de": "Das 95-%-Intervall wurde an Patienten mit simulierten Zielgrößen gelernt, deren wahre "
            "Wahrscheinlichkeit bekannt ist. Bei anderen Patienten derselben Art enthielt es "
            "die wahre Wahrscheinlichkeit in neun von zehn Fällen, seltener bei nicht linearem "
            "Zusammenhang. Für andere Patientengruppen sagt es nichts aus.",
        },
        "definition": {
            "en": "trabecular bone density below {threshold} mg/cm³ (QCT)",
            "de": "trabekuläre Knochendichte unter {threshold} mg/cm³ (QCT)",
        },
        "definition_brief": {
            "en": "bone density below {threshold} mg/cm³ (QCT)",
            "de": "Knochendichte unter {threshold} mg/cm³ (QCT)",
        },
        "probability": {"en": "probability {value}", "de": "Wahrscheinlichkeit {value}"},
        "interval": {"en": "95 % interval {low} to {high}", "de": "95-%-Intervall {low} bis {high}"},
        "threshold": {"en": "decision threshold {value}", "de": "Entscheidungsschwelle {value}"},
        "no_number": {"en": "no answer is given", "de": "es wird keine Aussage getroffen"},
        "basis": {"en": "from {sequence}", "de": "aus {sequence}"},
        "basis_chosen": {
            "en": "from {sequence}, as this site has chosen",
            "de": "aus {sequence}, wie hier eingestellt",
        },
        "basis_other": {
            "en": "from {sequence}, because {preferred} was not used",
            "de": "aus {sequence}, weil {preferred} nicht verwendet wurde",
        },
        # The paper's finding is not the model's: both are told, and none of it without an answer.
        "as_published": {
            "en": "{target}: from {sequence}, as in the paper (Front Endocrinol 2026;17:1823826, 160 "
            "patients, "
            "QCT), where it did best{own}.",
            "de": "{target}: aus {sequence}, wie in der Publikation (Front Endocrinol 2026;17:1823826, "
            "160 Patienten, QCT), wo diese Sequenz am besten war{own}.",
        },
        "as_chosen": {
            "en": "{target}: from {sequence}, as this site has chosen; in the paper (Front Endocrinol "
            "2026;17:1823826, 160 patients, QCT) {other} did best{own}.",
            "de": "{target}: aus {sequence}, wie hier eingestellt; in der Publikation (Front Endocrinol "
            "2026;17:1823826, 160 Patienten, QCT) war {other} am besten{own}.",
        },
        "own_areas": {
            "en": "; the AUC of this model itself is {areas}",
            "de": "; die AUC dieses Modells selbst ist {areas}",
        },
        "no_model": {
            "en": "Measurements and outlines only: no prediction model is used here, so nothing is said "
            "about osteoporosis or bone density.",
            "de": "Nur Messwerte und Konturen: Hier wird kein Vorhersagemodell verwendet, daher wird über "
            "Osteoporose und Knochendichte nichts ausgesagt.",
        },
        "measurements_only_short": {"en": "measurements only", "de": "ohne Vorhersage"},
        # --- VBQ ----------------------------------------------------------------------------------
        "vbq_value": {
            "en": "VBQ {contrast}: {value} (from {levels}; median marrow signal / CSF signal at L3)",
            "de": "VBQ {contrast}: {value} (aus {levels}; medianes Signal von Knochenmark / Liquor auf "
            "Höhe L3)",
        },
        "vbq_mean_at": {
            "en": "published mean ± 1 SD at {field} T: {mean}",
            "de": "publizierter Mittelwert ± 1 SD bei {field} T: {mean}",
        },
        "vbq_no_mean_at": {
            "en": "no published reference at {field} T",
            "de": "keine publizierte Referenz bei {field} T",
        },
        "vbq_field_unknown": {
            "en": "field strength unknown, so no published mean to compare with",
            "de": "Feldstärke unbekannt, daher kein publizierter Mittelwert zum Vergleich",
        },
        "vbq_no_mean": {
            "en": "no published reference by field strength",
            "de": "keine publizierte Referenz nach Feldstärke",
        },
        "vbq_repeatability": {"en": "scan-rescan ICC {icc}", "de": "Wiederholbarkeit: ICC {icc}"},
        "vbq_missing": {
            "en": "VBQ {contrast}: not available",
            "de": "VBQ {contrast}: nicht verfügbar",
        },
        "vbq_none": {"en": "not available", "de": "nicht verfügbar"},
        "vbq_reference_t1": {
            "en": "VBQ T1w by age, mean ± 1 SD (standard deviation): {values}. From 107 patients with lumbar "
            "complaints, not a normal population; TR 400 to 850 ms, TE 8 to 20 ms.",
            "de": "VBQ T1w nach Alter, Mittelwert ± 1 SD (Standardabweichung): {values}. Von 107 Patienten "
            "mit "
            "LWS-Beschwerden, keine Normalbevölkerung; TR 400 bis 850 ms, TE 8 bis 20 ms.",
        },
        "vbq_decade": {
            "en": "{first} to {last} years {mean} ± {sd}",
            "de": "{first} bis {last} Jahre {mean} ± {sd}",
        },
        "vbq_no_decade": {
            "en": "VBQ T1w: there is no published reference for the age of {age}, only for {first} to "
            "{last} years.",
            "de": "VBQ T1w: Für das Alter von {age} Jahren gibt es keine publizierte Referenz, nur für "
            "{first} bis "
            "{last} Jahre.",
        },
        "vbq_beside_low_risk": {
            "en": "High VBQ T1w beside a low probability: VBQ shows fat in the marrow, the model a pattern "
            "of signal; neither is a bone density.",
            "de": "Hoher VBQ T1w bei niedriger Wahrscheinlichkeit: VBQ zeigt Fett im Knochenmark, das Modell "
            "ein Signalmuster; beides ist keine Knochendichte.",
        },
        "vbq_reference_t2": {
            "en": "T2w: in one study (Huang 2025, doi 10.1177/21925682251339995) the mean was 0.60 in "
            "patients with a fracture and 0.55 in controls matched to them. This is no normal range, "
            "and there is none by age.",
            "de": "T2w: In einer Studie (Huang 2025, doi 10.1177/21925682251339995) war der Mittelwert 0,60 "
            "bei Patienten mit Fraktur und 0,55 bei dazu ausgewählten Kontrollen. Das ist kein "
            "Normbereich, und nach Alter gibt es keinen.",
        },
        "vbq_caution": {
            "en": "A higher VBQ means more fat in the marrow. It depends on protocol and field strength, "
            "and a "
            "second scan gives another value (scan-rescan ICC 0.749). Published cut-offs run from 2.7 to "
            "3.9, so "
            "none is applied.",
            "de": "Ein höherer VBQ bedeutet mehr Fett im Knochenmark. Er hängt von Protokoll und Feldstärke "
            "ab, "
            "und eine zweite Aufnahme ergibt einen anderen Wert (Wiederholbarkeit: ICC 0,749). Publizierte "
            "Grenzwerte reichen von 2,7 bis 3,9, daher wird keiner angewandt.",
        },
        "vbq_scale": {
            "en": "T1w, mean ± 1 SD by age, 107 patients with lumbar complaints, not a normal population. No "
            "cut-off: it differs with field strength and from scan to scan (ICC 0.749).",
            "de": "T1w, Mittelwert ± 1 SD nach Alter, 107 Patienten mit LWS-Beschwerden, keine "
            "Normalbevölkerung. Kein Grenzwert: Feldstärke und Wiederholung ändern ihn (ICC 0,749).",
        },
        "this_patient": {"en": "this patient", "de": "aktueller Wert"},
        # --- Levels -------------------------------------------------------------------------------
        "level_measured": {
            "en": "{level} ({contrast}): volume {volume} ml, median signal {signal}, VBQ {vbq}",
            "de": "{level} ({contrast}): Volumen {volume} ml, medianes Signal {signal}, VBQ {vbq}",
        },
        "level_excluded": {
            "en": "{level} ({contrast}) was not used: {reason}",
            "de": "{level} ({contrast}) wurde nicht verwendet: {reason}",
        },
        "level_concern": {
            "en": "{level} ({contrast}) was used with a caveat: {reason}",
            "de": "{level} ({contrast}) wurde mit Vorbehalt verwendet: {reason}",
        },
        "level_not_found": {
            "en": "not found in the image",
            "de": "im Bild nicht gefunden",
        },
        "no_reason": {"en": "the outline is not good enough", "de": "die Kontur ist nicht gut genug"},
        "level_names": {"en": "Level", "de": "Wirbel"},
        "volume": {"en": "Volume", "de": "Volumen"},
        "signal": {"en": "Median signal", "de": "Medianes Signal"},
        "excluded": {"en": "not used", "de": "nicht verwendet"},
        "uncertain_levels": {
            "en": "The names of the levels in {contrast} are not certain; bodies are numbered from cranial "
            "to "
            "caudal instead.",
            "de": "Die Bezeichnungen der Wirbel in {contrast} sind nicht sicher; die Wirbelkörper sind "
            "stattdessen von kranial nach kaudal nummeriert.",
        },
        "height_loss_line": {
            "en": "{level} ({contrast}): height loss of {percent} %, Genant grade {grade}, fracture-like. "
            "Measured by software; age and cause are unknown, a variant may look alike. Please check.",
            "de": "{level} ({contrast}): Höhenminderung von {percent} %, Genant-Grad {grade}, frakturartig. "
            "Von Software gemessen; Alter und Ursache unbekannt, Formvariante möglich. Bitte prüfen.",
        },
        "numbered_body": {"en": "body {number}", "de": "WK {number}"},
        # --- Images -------------------------------------------------------------------------------
        "series_used": {
            "en": "{contrast}: {plane}, {slices} slices, {facts}; chosen because {reason}",
            "de": "{contrast}: {plane}, {slices} Schichten, {facts}; gewählt, weil: {reason}",
        },
        # With percents that mean nothing to a physician: for the measurement report only.
        "series_quality": {
            "en": "{contrast}: outlines by {method}, {grade}; quality {quality}, level names {confidence}, "
            "CSF {csf}",
            "de": "{contrast}: Konturen durch {method}, {grade}; Qualität {quality}, Wirbelbezeichnung "
            "{confidence}, Liquor {csf}",
        },
        "series_checks": {
            "en": "{contrast}: outlines (by {method}) {outlines}, names of the levels {names}, CSF {fluid}",
            "de": "{contrast}: Konturen (durch {method}) {outlines}, Bezeichnungen der Wirbel {names}, "
            "Liquor {fluid}",
        },
        "check_why": {"en": "{check} ({why})", "de": "{check} ({why})"},
        "grade_sound": {"en": "sound", "de": "verwertbar"},
        "grade_doubtful": {"en": "usable with caveats", "de": "mit Vorbehalt verwertbar"},
        "grade_unusable": {"en": "not usable", "de": "nicht verwertbar"},
        "agreement": {
            "en": "T1w and T2w show {bodies} bodies in common: their outlines overlap by {overlap}, their "
            "centres lie {residual} mm apart.",
            "de": "T1w und T2w zeigen {bodies} gemeinsame Wirbelkörper: Die Konturen überlappen zu "
            "{overlap}, die Mittelpunkte liegen {residual} mm auseinander.",
        },
        "compared": {
            "en": "T1w and T2w show {bodies} bodies in common, whose outlines were compared.",
            "de": "T1w und T2w zeigen {bodies} gemeinsame Wirbelkörper, deren Konturen verglichen wurden.",
        },
        "registered": {
            "en": "T1w and T2w did not fit by their headers and were registered rigidly first.",
            "de": "T1w und T2w passten laut Header nicht zusammen und wurden zuvor starr registriert.",
        },
        "picture_quality": {
            "en": "outlines {outlines}, levels {names}, CSF {fluid}",
            "de": "Konturen {outlines}, Wirbelnamen {names}, Liquor {fluid}",
        },
        "check_passed": {"en": "good", "de": "gut"},
        "check_doubtful": {"en": "doubtful", "de": "fraglich"},
        "check_failed": {"en": "not usable", "de": "nicht verwertbar"},
        "outlines_by": {"en": "outlines by {method}", "de": "Konturierung durch {method}"},
        "outline": {"en": "Quality", "de": "Qualität"},
        "fluid": {"en": "CSF", "de": "Liquor"},
        "overlap": {"en": "T1w/T2w overlap", "de": "T1w/T2w-Überl."},
        "remarks": {"en": "Remarks", "de": "Bemerkungen"},
        "study_remark": {"en": "Study: {reason}", "de": "Untersuchung: {reason}"},
        "series_concern": {"en": "{contrast}: {reason}", "de": "{contrast}: {reason}"},
        "series_set_aside": {
            "en": "Not analysed: {description} - {reason}",
            "de": "Nicht analysiert: {description} - {reason}",
        },
        "sagittal": {"en": "sagittal", "de": "sagittal"},
        "quality": {"en": "quality", "de": "Qualität"},
        "excluded_title": {"en": "To bear in mind", "de": "Zu beachten"},
        "more_excluded": {
            "en": "and {count} more, in the text report",
            "de": "und {count} weitere, im Textbericht",
        },
        "none_excluded": {
            "en": "All bodies found were used, without caveats.",
            "de": "Alle gefundenen Wirbelkörper wurden ohne Vorbehalt verwendet.",
        },
        # --- About --------------------------------------------------------------------------------
        "model": {"en": "Model: {name} {version}", "de": "Modell: {name} {version}"},
        "cohort": {"en": "Trained on: {cohort}", "de": "Trainiert mit: „{cohort}“"},
        "intended_use": {"en": "Intended use: {use}", "de": "Zweckbestimmung: „{use}“"},
        "not_for": {
            "en": "This is no diagnosis and replaces neither DXA nor QCT. It was made by software without a "
            "human reader and has not been verified. It has no approval as a medical device.",
            "de": "Dies ist keine Diagnose und ersetzt weder DXA noch QCT. Das Ergebnis wurde von Software "
            "erstellt und nicht ärztlich geprüft. Es besteht keine Zulassung als Medizinprodukt.",
        },
        "not_for_short": {
            "en": "No diagnosis. Replaces neither DXA nor QCT. Not verified by a human reader.",
            "de": "Keine Diagnose. Ersetzt weder DXA noch QCT. Nicht ärztlich geprüft.",
        },
        "analysed": {
            "en": "Analysed on {date} at {time} by {software}",
            "de": "Ausgewertet am {date} um {time} Uhr mit {software}",
        },
        "digest_model": {"en": "SHA-256 of the model: {digest}", "de": "SHA-256 des Modells: {digest}"},
        "digest_configuration": {
            "en": "SHA-256 of the configuration: {digest}",
            "de": "SHA-256 der Konfiguration: {digest}",
        },
        "digest_input": {
            "en": "SHA-256 of the {contrast} input: {digest}",
            "de": "SHA-256 der {contrast}-Eingabe: {digest}",
        },
        "whom_name": {"en": "Patient", "de": "Name"},
        "whom_id": {"en": "Patient ID", "de": "Patienten-ID"},
        "whom_born": {"en": "Date of birth", "de": "Geburtsdatum"},
        "whom_accession": {"en": "Accession number", "de": "Auftragsnummer (Accession Number)"},
        "whom_missing": {"en": "not given", "de": "nicht angegeben"},
        "whom_letters": {
            "en": "in letters that this page cannot print",
            "de": "in einer Schrift, die hier nicht druckbar ist",
        },
        "page": {"en": "page {number} of {count}", "de": "Seite {number} von {count}"},
        "study_of": {"en": "Study of {date}", "de": "Untersuchung vom {date}"},
        "slice_right": {"en": "R {distance} mm", "de": "R {distance} mm"},
        "slice_left": {"en": "L {distance} mm", "de": "L {distance} mm"},
        "mid_sagittal": {"en": "mid-sagittal", "de": "mediansagittal"},
        "no_series": {"en": "no {contrast} series analysed", "de": "keine {contrast}-Serie analysiert"},
    }
)
"""Key to sentence by language. Placeholders are the same in every language."""
