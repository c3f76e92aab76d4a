"""Coupons: pools of codes, and the personal coupons that were issued from them."""
