"""Switch a recipe's rules on and off."""

from __future__ import annotations

from collections.abc import Mapping

from cxrbuild.catalog import Recipe
from cxrbuild.catalog.override import RuleOverride
from cxrbuild.errors import DeclarationError


def switch_rules(recipe: Recipe, switches: Mapping[str, bool]) -> tuple[Recipe, list[RuleOverride]]:
    """Switch rules on and off.

    Parameters
    ----------
    recipe
        The recipe.
    switches
        For each switch (``lateral``, ``ct``, ``annotated``) whether such images are excluded.

    Returns
    -------
    tuple
        The recipe with its rules switched, and each rule that differs from the recipe's default.

    Raises
    ------
    DeclarationError
        The recipe has no rule with that switch.
    """
    overrides, rules = [], list(recipe.rules)
    for switch, drop in switches.items():
        switched = [i for i, rule in enumerate(rules) if rule.switch == switch]
        if not switched:
            known = sorted({rule.switch for rule in rules if rule.switch})
            raise DeclarationError(
                f"the recipe {recipe.name} has no rule for --{'drop' if drop else 'keep'}-{switch}",
                expected=f"switches of its rules: {', '.join(known) or 'none'}",
                todo="Omit this option, or name a recipe that has such a rule",
            )
        for i in switched:
            if rules[i].enabled != drop:
                overrides.append(RuleOverride(rule=rules[i].name, switch=switch, enabled=drop))
            rules[i] = rules[i].model_copy(update={"enabled": drop})
    return recipe.model_copy(update={"rules": rules}), overrides
