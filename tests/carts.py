"""The abandoned cart and the category promotion of tests, with durations, templates and channels as arguments."""

from __future__ import annotations

from core.clock import DAY_US, HOUR_US
from core.query.text.format_values import quoted
from core.scenario.definition import Block, Condition, Definition, EventTrigger, Exit, Send, Wait

#: A cart with something in it.
FILLED_CART = "any item (product_id is present or sku is present)"


def abandoned_cart(
    *,
    email_after_us: int = 2 * HOUR_US,
    open_within_us: int = DAY_US,
    offer_after_us: int = 3 * DAY_US,
    email_template: str = "abandoned_cart",
    second_channel: str = "webhook",
    second_template: str = "abandoned_cart_push",
    offer_channel: str = "webhook",
    offer_template: str = "abandoned_cart_offer",
) -> Definition:
    """N3: a cart and no purchase. After `email_after_us` an email with the cart; not opened within `open_within_us`:
    the second channel; not bought `offer_after_us` after the cart: an offer on another channel. A purchase of that
    cart ends it at any step. `offer_after_us` must lie beyond the two others together (validation refuses less).
    """
    rest_us = offer_after_us - email_after_us - open_within_us
    return Definition(
        EventTrigger("cart_updated", FILLED_CART),
        (
            Block("wait_for_purchase", Wait(email_after_us)),
            Block("email", Send("email", email_template)),
            Block("wait_for_open", Wait(open_within_us)),
            Block(
                "opened",
                Condition(
                    "opened message (run_id = :run_id) from :trigger_at", when_true="wait_again", when_false="second"
                ),
            ),
            Block("second", Send(second_channel, second_template)),
            Block("wait_again", Wait(rest_us)),
            Block(
                "bought",
                Condition(
                    "did order_completed (cart_id = :cart_id) from :trigger_at", when_true="done", when_false="offer"
                ),
            ),
            Block("offer", Send(offer_channel, offer_template, next="done")),
            Block("done", Exit("done")),
        ),
        exit_when="did order_completed (cart_id = :cart_id) from :trigger_at",
        description="Abandoned cart: email, then another channel, then an offer, until the cart is bought.",
    )


def category_promotion(
    segment: str,
    *,
    event_type: str = "promotion_clicked",
    wait_us: int = HOUR_US,
    channel: str = "email",
    template: str = "category_promotion",
) -> Definition:
    """N16: one parametric segment, one scenario; the event carries the section. Whoever belongs to `segment` for the
    section of the event gets the promotion of that section, unless it is bought from meanwhile."""
    return Definition(
        EventTrigger(event_type, "section is present"),
        (
            Block("wait", Wait(wait_us)),
            Block(
                "belongs",
                Condition(f"in segment {quoted(segment)} with section = :section", when_true="send", when_false="done"),
            ),
            Block("send", Send(channel, template, "promo", next="done")),
            Block("done", Exit("done")),
        ),
        description=f"Promotion of the section that the event names, to those in {segment!r}.",
    )
