"""Ready segments for a shop, in the text form and the canonical vocabulary, so that they work on every source's data.

Names are stable: what refers to one goes on working. A template is copied when it is taken; `:parameters` are bound by
the event that starts a scenario, or when it is asked. Segments about silence also ask that the contact was there
through the period ("cohort of contacts added more than ... ago"), so that nobody is lost on the first day.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """`name` is unique, `about` one sentence for a marketer, `text` a rule, `group` where an editor shows it."""

    name: str
    group: str
    about: str
    text: str


_HALF_YEAR = "cohort of contacts added more than 180 days ago"
_QUARTER = "cohort of contacts added more than 90 days ago"
_MONTH = "cohort of contacts added more than 30 days ago"
#: Some sources tell a whole cart, others each product put into it; some a visit, others its pages.
_CART = "any of (cart_updated, product_added_to_cart)"
_VISIT = "any of (site_visited, page_viewed)"
#: What was paid and not returned or cancelled; see core.orders.book.
_SPENT = "sum(any of (order_completed, order_corrected).total)"

TEMPLATES: tuple[Template, ...] = (
    # --- value ---------------------------------------------------------------------------------------------------
    Template("VIP", "value", "Bought lately, often and for much.", 'rfm purchases in cell "VIP"'),
    Template("newcomers", "value", "Bought lately, once or twice.", 'rfm purchases in cell "newcomers"'),
    Template("regulars", "value", "Buy again and again.", 'rfm purchases in cell "regulars"'),
    Template("at risk", "value", "Bought often, but not lately.", 'rfm purchases in cell "at risk"'),
    Template("lost buyers", "value", "The longest without a purchase.", 'rfm purchases in cell "lost"'),
    Template(
        "slipping away",
        "value",
        "Were VIP or regular a month ago and are at risk now.",
        'rfm purchases moved from any of ("VIP", "regulars") to "at risk" in last 30 days',
    ),
    Template(
        "top spenders",
        "value",
        "The best twentieth by what they spent in a year.",
        f"{_SPENT} in last 365 days in top 5 %",
    ),
    Template(
        "average check VIP",
        "value",
        "Their average check is above the shop's.",
        "avg(order_completed.total) above average of events",
    ),
    Template(
        "valuable and cooling",
        "value",
        "Spend more than most, and visit half as often as before.",
        f"{_SPENT} in last 365 days above average and {_VISIT} falling by 50 % over last 30 days",
    ),
    # --- purchases -----------------------------------------------------------------------------------------------
    Template(
        "never bought",
        "purchases",
        "Known for a month, and no order yet.",
        f"{_MONTH} and never did order_completed",
    ),
    Template(
        "first purchase",
        "purchases",
        "Bought for the first time within the last week.",
        "first time did order_completed in last 7 days",
    ),
    Template("one-time buyers", "purchases", "Exactly one order ever.", "did order_completed exactly 1 time"),
    Template(
        "second purchase due",
        "purchases",
        "One order, one to two months ago, and none since.",
        "did order_completed exactly 1 time and did order_completed between 30 and 60 days ago",
    ),
    Template(
        "every month",
        "purchases",
        "Bought in each of the last three calendar months.",
        "did order_completed regularly: in at least 3 of last 3 calendar months",
    ),
    Template(
        "stopped buying",
        "purchases",
        "Bought in the three months before, not in the last month.",
        "stopped order_completed: did in 90 days before, not in last 30 days",
    ),
    Template(
        "came back",
        "purchases",
        "Bought in the last month after three months without.",
        "restarted order_completed: did in last 30 days, not in 90 days before, but earlier",
    ),
    Template(
        "lost customers",
        "purchases",
        "Bought once upon a time, not for half a year.",
        "did order_completed and did not order_completed in last 180 days",
    ),
    Template(
        "promo code hunters",
        "purchases",
        "At least two orders in a year, the latest with a promo code.",
        "did order_completed at least 2 times in last 365 days and last order_completed had (promo_code is present)",
    ),
    Template(
        "full price buyers",
        "purchases",
        "Buy, and never with a promo code.",
        "did order_completed in last 365 days and not did order_completed (promo_code is present)",
    ),
    Template(
        "store buyers",
        "purchases",
        "Their latest order came from a store.",
        'last(order_completed.channel) = "store"',
    ),
    Template(
        "returned an order",
        "purchases",
        "Sent something back in the last month.",
        "did any of (order_refunded, order_cancelled) in last 30 days",
    ),
    Template(
        "weekend buyers",
        "purchases",
        "Bought at least twice on weekends in a quarter.",
        "did order_completed at least 2 times in last 90 days on (saturday, sunday)",
    ),
    Template(
        "replenishment",
        "purchases",
        "Bought from the category a month ago, and not since.",
        "did order_completed (any item (category = :category)) between 25 and 35 days ago "
        "and did not order_completed (any item (category = :category)) in last 25 days",
    ),
    # --- intentions ----------------------------------------------------------------------------------------------
    Template(
        "abandoned view",
        "intentions",
        "Viewed a product in the last day and bought nothing since.",
        "did product_viewed in last 24 hours and did not order_completed since last product_viewed",
    ),
    Template(
        "abandoned cart",
        "intentions",
        "Filled a cart in the last three days and did not order within the hour.",
        f"sequence in last 3 days: {_CART} then not order_completed within 1 hour",
    ),
    Template(
        "abandoned checkout",
        "intentions",
        "Began to check out in the last day and did not finish within the hour.",
        "sequence in last 24 hours: checkout_started then not order_completed within 1 hour",
    ),
    Template(
        "same product again",
        "intentions",
        "Viewed the same product at least twice within a day.",
        "did product_viewed at least 2 times in last 24 hours for the same product_id",
    ),
    Template(
        "viewed, put in the cart, left",
        "intentions",
        "Viewed a product, put it in the cart within a day, and did not buy it within the next.",
        "sequence in last 30 days: product_viewed as v "
        f"then {_CART} (product_id = v.product_id or any item (product_id = v.product_id)) within 1 day "
        "then not order_completed (any item (product_id = v.product_id)) within 24 hours",
    ),
    Template(
        "searched in vain",
        "intentions",
        "Searched in the last week and found nothing.",
        "did products_searched (found = false) in last 7 days",
    ),
    Template(
        "section lookers",
        "intentions",
        "Viewed the section in the last month and bought nothing of it: one segment for all sections.",
        "did product_viewed (category = :section) in last 30 days "
        "and did not order_completed (any item (category = :section)) in last 30 days",
    ),
    Template(
        "fond of a category",
        "intentions",
        "View, want and buy from the category, lately more than long ago: one segment for all categories.",
        "interest in category :category >= 3",
    ),
    Template(
        "favourite category",
        "intentions",
        "The category is the one they are most interested in: for a digest of it.",
        "top interest in category = :category",
    ),
    Template(
        "more views",
        "intentions",
        "View half as many products again as in the two weeks before.",
        "product_viewed rising by 50 % over last 14 days",
    ),
    # --- catalogue -----------------------------------------------------------------------------------------------
    Template(
        "back in stock",
        "catalogue",
        "Viewed a product while it was out of stock, and now it is there.",
        "did product_viewed (product was out of stock) in last 30 days on a product now in stock",
    ),
    Template(
        "wish on promotion",
        "catalogue",
        "A wished product is on promotion now.",
        "did wishlist_added in last 90 days on a product now on promotion",
    ),
    Template(
        "wish got cheaper",
        "catalogue",
        "A wished product costs at least a tenth less than when it was wished.",
        "did wishlist_added in last 90 days on a product whose price dropped by at least 10 %",
    ),
    Template(
        "last one in the cart",
        "catalogue",
        "A product put in the cart in the last week is the last item.",
        f"did {_CART} in last 7 days on a product now the last item",
    ),
    # --- messages ------------------------------------------------------------------------------------------------
    Template(
        "sleeping half a year",
        "messages",
        "Women under 30 who got messages and opened none for half a year.",
        f'gender = "female" and age < 30 and {_HALF_YEAR} '
        "and received message in last 180 days and not opened message in last 180 days",
    ),
    Template(
        "silent readers",
        "messages",
        "Open, and never click, in a month.",
        "opened message at least 3 times in last 30 days and not clicked message in last 30 days",
    ),
    Template(
        "only triggers",
        "messages",
        "Opened triggered messages in a quarter, and never a mass one.",
        'opened message (kind = "trigger") in last 90 days and never opened message (kind = "promo")',
    ),
    Template(
        "night readers",
        "messages",
        "Opened messages that were sent at night.",
        "opened message sent at night in last 90 days",
    ),
    Template(
        "too many letters",
        "messages",
        "Got at least ten letters in a month and clicked none.",
        'received message (channel = "email") at least 10 times in last 30 days '
        "and not clicked message in last 30 days",
    ),
    Template(
        "engaged became sleeping",
        "messages",
        "Were active readers a month ago and sleep now.",
        'rfm engagement moved from "active" to "sleeping" in last 30 days',
    ),
    Template(
        "clicked a sale",
        "messages",
        "Clicked a link to the sale.",
        'clicked message (link contains "sale") in last 30 days',
    ),
    Template(
        "bounced addresses",
        "messages",
        "A letter came back in the last month, and none was opened in it.",
        'bounced message (channel = "email") in last 30 days and not opened message in last 30 days',
    ),
    # --- people --------------------------------------------------------------------------------------------------
    Template(
        "birthday soon",
        "people",
        "Birthday within a week.",
        "birth_date has anniversary in next 7 days in contact's zone",
    ),
    Template(
        "children starting school",
        "people",
        "Have a child of six or seven.",
        "any child (age between 6 and 7)",
    ),
    Template("gold members", "people", "Loyalty status gold or higher.", 'loyalty_tags has any ("gold", "platinum")'),
    Template(
        "new contacts",
        "people",
        "Added in this calendar month.",
        "cohort of contacts added this calendar month",
    ),
    Template(
        "first purchase last month",
        "people",
        "The cohort whose first order was in the last calendar month.",
        "cohort of first order_completed in last calendar month",
    ),
    Template(
        "quiet for a quarter",
        "people",
        "There for a quarter, and no event of any kind in it.",
        f"{_QUARTER} and did not * in last 90 days",
    ),
    Template(
        "unhappy",
        "people",
        "Answered a survey with a score of six or less in a quarter.",
        "did survey_answered (score <= 6) in last 90 days",
    ),
    Template(
        "reachable by push only",
        "people",
        "No letter can reach them, a push can.",
        "reachable by (web_push, mobile_push) and not reachable by email",
    ),
    Template(
        "curious visitors",
        "people",
        "Unknown visitors who viewed at least three products in a week.",
        "among anonymous contacts: did product_viewed at least 3 times in last 7 days",
    ),
    Template("control group", "people", "A stable tenth of everybody.", 'random bucket 0 to 999 of "control group"'),
)
