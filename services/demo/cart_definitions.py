"""What the cart demo saves: templates, channel settings, and the abandoned cart (N3) on a time scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdp.channel.v1 import channel_pb2
from cdp.scenario.v1 import scenario_pb2
from core.clock import SECOND_US

SCENARIO = "Abandoned cart"
DOMAIN = "example.invalid"
EMAIL, SECOND, OFFER = "abandoned_cart", "abandoned_cart_push", "abandoned_cart_offer"

_PURCHASE = "did order_completed (cart_id = :cart_id) from :trigger_at"

_HTML = """\
<html><body>
<p>Hello {{ contact.first_name }}, your cart is still here:</p>
<table>
{% for item in items %}<tr>
  <td><a href="{{ item.url }}">{{ item.name }}</a></td><td>{{ item.quantity }} x {{ item.price | money }}</td>
</tr>
{% endfor %}</table>
<p>Together {{ total | money }}. <a href="https://shop.example.com/cart/{{ cart_id }}">Back to the cart</a></p>
<p><small><a href="{{ unsubscribe_url }}">No more of these letters</a></small></p>
</body></html>
"""
_TEXT = """\
Hello {{ contact.first_name }}, your cart is still here:
{% for item in items %}
- {{ item.quantity }} x {{ item.name }}, {{ item.price | money }}{% endfor %}

Together {{ total | money }}. Back to the cart: https://shop.example.com/cart/{{ cart_id }}
No more of these letters: {{ unsubscribe_url }}
"""
_PUSH = (
    '{"title": "Still in your cart", "cart": "{{ cart_id }}", "things": {{ items.size }}, '
    '"total": "{{ total | money }}"}'
)
_OFFER = '{"title": "10 % off your cart, today only", "cart": "{{ cart_id }}"}'

TEMPLATES: Mapping[str, channel_pb2.Template] = {
    EMAIL: channel_pb2.Template(
        channel="email",
        subject="{{ contact.first_name }}, {{ items.size }} things wait in your cart",
        body_html=_HTML,
        body_text=_TEXT,
    ),
    SECOND: channel_pb2.Template(channel="webhook", body_text=_PUSH),
    OFFER: channel_pb2.Template(channel="webhook", body_text=_OFFER),
}


@dataclass(frozen=True, slots=True)
class TimeScale:
    """How long an hour of the scenario takes here."""

    hour_s: float

    def us(self, hours: int) -> int:
        """`hours` of the scenario in microseconds of the demo, at least one."""
        return max(1, round(hours * self.hour_s * SECOND_US))

    def seconds(self, hours: int) -> float:
        """`hours` of the scenario in seconds of the demo."""
        return self.us(hours) / SECOND_US


def channel_settings(webhook_port: int, webhook_secret: str) -> channel_pb2.Settings:
    """Messages go to the demo's own people and receiver, and to nobody else: the workspace is not live."""
    settings = channel_pb2.Settings(
        live=False,
        allowed_recipients=[f"@{DOMAIN}", "@127.0.0.1"],
        webhook_url=f"http://127.0.0.1:{webhook_port}/push",
        webhook_secret=webhook_secret,
        allowed_private_hosts=["127.0.0.1"],
    )
    setattr(settings, "from", "Demo shop <shop@example.com>")  # a keyword of Python is no argument
    return settings


def abandoned_cart(scale: TimeScale) -> scenario_pb2.Scenario:
    """N3: email with the cart after 2 hours; not opened within 1 day: second channel; not bought 3 days after the
    cart: an offer. A purchase of that cart ends it at any step."""
    pb = scenario_pb2
    blocks = [
        pb.Block(id="wait_for_purchase", wait=pb.Wait(duration_us=scale.us(2))),
        pb.Block(id="email", send=pb.Send(channel="email", template=EMAIL, kind="trigger")),
        pb.Block(id="wait_for_open", wait=pb.Wait(duration_us=scale.us(24))),
        pb.Block(
            id="opened",
            condition=pb.Condition(
                text="opened message (run_id = :run_id) from :trigger_at", when_true="wait_again", when_false="second"
            ),
        ),
        pb.Block(id="second", send=pb.Send(channel="webhook", template=SECOND, kind="trigger")),
        pb.Block(id="wait_again", wait=pb.Wait(duration_us=scale.us(72 - 24 - 2))),
        pb.Block(id="bought", condition=pb.Condition(text=_PURCHASE, when_true="done", when_false="offer")),
        pb.Block(id="offer", send=pb.Send(channel="webhook", template=OFFER, kind="trigger", next="done")),
        pb.Block(id="done", exit=pb.Exit(reason="done")),
    ]
    return pb.Scenario(
        description="N3 on the demo's time scale",
        trigger=pb.Trigger(event=pb.EventTrigger(type="cart_updated", filter="any item (product_id is present)")),
        blocks=blocks,
        exit_when=_PURCHASE,
    )
