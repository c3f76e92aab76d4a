"""The fold of accepted facts into contacts: identifiers, attributes, consents, orders and merges."""
