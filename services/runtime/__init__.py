"""What the services share: settings, gRPC host, log clients, subscriptions, telemetry. Imports no service."""
