"""A stateful Stripe-compatible server for the demo and the tests.

It answers on loopback, keeps its state in one file, sends signed webhooks and can be told to
break. It knows customers, one-off invoices, their payments, events and webhook endpoints, in the
shapes of API version 2026-10-28.endive. It shares no code with the program it stands in for, so
that a mistake there is not repeated here.
"""
