"""Errors of a rule: where it stands, what is wrong, what to write instead."""

from __future__ import annotations

from core.errors import CdpError, Violation, invalid
from core.query.ast import NOWHERE, Span

#: The text does not follow the grammar.
SYNTAX = "RULE_SYNTAX"
#: A construct of the language that this version does not evaluate.
UNSUPPORTED = "RULE_UNSUPPORTED"
#: A value that no field can hold: too large, too many decimals, no such date.
VALUE = "RULE_VALUE"
#: A limit of core.query.limits.
TOO_DEEP = "RULE_TOO_DEEP"
TOO_LARGE = "RULE_TOO_LARGE"
#: A node array that is no tree, or a node that no text could write.
SHAPE = "RULE_SHAPE"
#: An attribute, event, parameter, list or segment that is not known.
UNKNOWN_NAME = "RULE_UNKNOWN_NAME"
#: An operator or a value that does not fit the kind of the field.
TYPE = "RULE_TYPE"
#: A window that can never hold anything, or does not fit where it stands.
WINDOW = "RULE_WINDOW"
#: A parameter of two kinds, or an argument that does not fit.
PARAMETER = "RULE_PARAMETER"
#: A regular expression that RE2 refuses.
PATTERN = "RULE_PATTERN"
#: A segment that refers to itself.
CYCLE = "RULE_CYCLE"


def place(span: Span, otherwise: str = "") -> str:
    """How an error names a place: "line 1, column 9", or `otherwise` for what came from no text."""
    return otherwise if span == NOWHERE else f"line {span.line}, column {span.column}"


def problem(reason: str, where: str, text: str, hint: str = "") -> CdpError:
    """An INVALID error `where: text hint`; its one violation carries place and text apart."""
    described = f"{text} {hint}" if hint else text
    return invalid(reason, f"{where}: {described}" if where else described, Violation(where, described))
