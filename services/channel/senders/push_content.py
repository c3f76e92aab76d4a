"""What a push carries, whichever service brings it: the notice, where the device reports to, and what it replaces."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from core.clock import DAY_US, SECOND_US
from services.channel.notice import render_notice
from services.channel.senders.jwt import plain_base64
from services.channel.senders.sender import Envelope, Prepared

#: For pushes that never expire: a device that was off for longer gets none of them.
DEFAULT_LIFETIME_US = 3 * DAY_US
#: Push services keep nothing for longer.
LONGEST_LIFETIME_US = 28 * DAY_US
#: The value of a message by which its author says what it replaces.
TAG_VALUE = "push_tag"
_LONGEST_TAG = 64
_COLLAPSE_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Push(Prepared):
    """`collapse_id`: what has not reached the device yet gives way to a later push with the same one."""

    collapse_id: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class PushContent:
    """A device shows `title`, `text` and the pictures, follows `url`, and tells by POST to `shown_url` and GET of
    `opened_url` what happened. A notification takes the place of an older one with the same `tag`; `replaces`: the
    message said so itself."""

    message_id: str
    title: str
    text: str
    url: str
    image_url: str
    icon_url: str
    tag: str
    collapse_id: str
    shown_url: str
    opened_url: str
    links: tuple[str, ...]
    replaces: bool

    def data(self) -> dict[str, str]:
        """What an app finds beside the notification; what is empty is left out."""
        told = {
            "message_id": self.message_id,
            "url": self.url,
            "image_url": self.image_url,
            "tag": self.tag,
            "shown_url": self.shown_url,
            "opened_url": self.opened_url,
        }
        return {name: text for name, text in told.items() if text}


def content_of(envelope: Envelope) -> PushContent:
    """Render the template. A push replaces an older one with the same tag: what the message's value `push_tag` says, at
    most 64 characters, or else the message's own id, so that only a repetition of the same message replaces it.

    Raises INVALID: TEMPLATE_FAILED, UNSAFE_URL.
    """
    notice = render_notice(envelope.template, envelope.values, envelope.links)
    told = envelope.values.get(TAG_VALUE)
    said = str(told).strip()[:_LONGEST_TAG] if isinstance(told, str | int) else ""
    tag = said or envelope.message_id
    collapse = plain_base64(sha256(f"{envelope.workspace}\0{tag}".encode()).digest())[:_COLLAPSE_CHARACTERS]
    return PushContent(
        envelope.message_id,
        notice.title,
        notice.text,
        notice.url,
        notice.image_url,
        notice.icon_url,
        tag,
        collapse,
        envelope.links.shown_url,
        envelope.links.open_url,
        notice.links,
        said != "",
    )


def push_of(envelope: Envelope, content: PushContent, body: bytes) -> Push:
    """`content`, encoded as `body`, ready to go."""
    return Push(
        message_id=envelope.message_id,
        sender="",
        address=envelope.address,
        body=body,
        links=content.links,
        settings=envelope.settings,
        now_us=envelope.now_us,
        provider=envelope.provider,
        expires_at_us=envelope.expires_at_us,
        collapse_id=content.collapse_id,
        urgent=envelope.transactional,
    )


def expiry_us(now_us: int, expires_at_us: int) -> int:
    """The instant from which nobody wants a push any more that expires at `expires_at_us` (0: never)."""
    return min(expires_at_us or now_us + DEFAULT_LIFETIME_US, now_us + LONGEST_LIFETIME_US)


def lifetime_s(now_us: int, expires_at_us: int) -> int:
    """For how many whole seconds a push service tries; 0: now or never."""
    return max(0, (expiry_us(now_us, expires_at_us) - now_us) // SECOND_US)
