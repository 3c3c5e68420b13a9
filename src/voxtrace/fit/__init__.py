"""Whether a model fits a scan, what it will cost there, and how far its answer can be trusted; needs no torch.

Everything here reads the *record* of a bundle (``voxtrace.bundle.card(path)``, plain JSON values) beside a scan:

=====================  ==============================================================================================
``fit``                fits, check or does not fit, with a sentence and a remedy for each reason
``suggest``            the model to offer for a scan, or None
``estimate``           seconds and gigabytes of a prediction on this scan and machine
``interval_ml``        the range in which a label's true volume lies, given the predicted one
``familiarity``        whether the way in which a prediction came about is like that of the validation cases
``expected_dice``      the Dice to expect of the answer, with an interval, or why it is not known
=====================  ==============================================================================================
"""

from __future__ import annotations

from voxtrace.fit.about import ABOUT, about_of, read_about
from voxtrace.fit.card_record import check_record
from voxtrace.fit.card_text import card_text, drawings, measured_lines
from voxtrace.fit.claim import ClaimItem, claim_items, words_of_items
from voxtrace.fit.cost import PredictionCost
from voxtrace.fit.estimate import Estimate, estimate, remember_run
from voxtrace.fit.familiarity import Familiarity, familiarity, measured_features
from voxtrace.fit.features import case_features
from voxtrace.fit.interval_coverage import coverage_record
from voxtrace.fit.intervals import interval_ml, measured_intervals
from voxtrace.fit.predicted_dice import expected_dice, measured_dice_prediction
from voxtrace.fit.reasons import SEVERITY
from voxtrace.fit.scan_facts import ScanFacts, facts_of
from voxtrace.fit.suggestion import suggest
from voxtrace.fit.training_scans import TrainingScans
from voxtrace.fit.verdict import Fit, FitReason, Severity, fit, fit_to_start

__all__ = [
    "ABOUT",
    "SEVERITY",
    "ClaimItem",
    "Estimate",
    "Familiarity",
    "Fit",
    "FitReason",
    "PredictionCost",
    "ScanFacts",
    "Severity",
    "TrainingScans",
    "about_of",
    "card_text",
    "case_features",
    "check_record",
    "claim_items",
    "coverage_record",
    "drawings",
    "estimate",
    "expected_dice",
    "facts_of",
    "familiarity",
    "fit",
    "fit_to_start",
    "interval_ml",
    "measured_dice_prediction",
    "measured_features",
    "measured_intervals",
    "measured_lines",
    "read_about",
    "remember_run",
    "suggest",
    "words_of_items",
]
