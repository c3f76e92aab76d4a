"""One kind for every parameter of a rule."""

from __future__ import annotations

from collections.abc import Mapping

from core.query.ast import Parameter
from core.query.binding.bind_values import NUMERIC, kind_words
from core.query.problems import PARAMETER, problem
from core.schema import Kind


class ParameterKinds:
    """Collects what each parameter is compared with.

    Whole numbers and decimals meet in DECIMAL, except where a whole number is needed (`exact`). `widened` says that a
    kind changed after it was first handed out, so that the rule has to be bound again from `kinds`.
    """

    def __init__(self, kinds: Mapping[str, Kind] | None = None) -> None:
        self._kinds = dict(kinds or {})
        self._exact: set[str] = set()
        self.widened = False

    @property
    def kinds(self) -> dict[str, Kind]:
        """Parameter -> kind, sorted by name."""
        return dict(sorted(self._kinds.items()))

    def known(self, name: str) -> Kind | None:
        """The kind so far."""
        return self._kinds.get(name)

    def use(self, parameter: Parameter, kind: Kind, where: str, *, exact: bool = False) -> Parameter:
        """The parameter, with its kind, where a `kind` is needed. Raises RULE_PARAMETER for a second kind."""
        name = parameter.name
        for other in (parameter.kind, self._kinds.get(name)):
            if other is None or other is kind:
                continue
            if exact or name in self._exact or not (kind in NUMERIC and other in NUMERIC):
                raise problem(PARAMETER, where, _clash(name, kind, other))
            kind = Kind.DECIMAL
        if exact:
            self._exact.add(name)
        before = self._kinds.get(name)
        self.widened |= before is not None and before is not kind
        self._kinds[name] = kind
        return Parameter(name, kind)


def _clash(name: str, kind: Kind, other: Kind) -> str:
    one, two = kind_words(kind), kind_words(other)
    if one == two:
        one, two = ("a whole number", "a decimal") if kind is Kind.INTEGER else ("a decimal", "a whole number")
    return f'":{name}" is {one} here and {two} elsewhere; a parameter has one kind.'
