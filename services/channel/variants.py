"""Variants of a template: which of its wordings a contact gets, and a wording as a template of its own."""

from __future__ import annotations

from dataclasses import replace

from core.scenario.draw import WHOLE, bucket_of
from services.channel.templates import Template, Variant

#: Shares are of so many.
SHARES = WHOLE
#: The name of the template's own wording, in messages and reports.
OWN = ""


def variant_of(template: Template, name: str, workspace: str, key: str) -> str:
    """The variant that the contact of public id `key` gets of the template `name`: OWN where there are none, or for
    those whom no share takes. The draw is the random bucket of segments with the template's salt, so that a contact
    keeps its variant and a segment by `random bucket` can name those who had it."""
    if not template.variants:
        return OWN
    bucket = bucket_of(workspace, template.salt or name, key)
    upto = 0
    for variant in template.variants:
        upto += variant.share
        if bucket < upto:
            return variant.name
    return OWN


def wording(template: Template, variant: str) -> Template:
    """The template as that variant says it, without variants; of a name that it does not have (any more) its own."""
    alone = replace(template, variants=())
    found = next((one for one in template.variants if one.name == variant), None)
    return alone if found is None or variant == OWN else _worded(alone, found)


def _worded(template: Template, variant: Variant) -> Template:
    # A wording's HTML and its MJML stand for one another: the variant's one replaces whichever the template has.
    both = (template.body_html, template.mjml)
    html, mjml = (variant.body_html, variant.mjml) if variant.body_html or variant.mjml else both
    return replace(
        template,
        subject=variant.subject or template.subject,
        body_html=html,
        mjml=mjml,
        body_text=variant.body_text or template.body_text,
    )
