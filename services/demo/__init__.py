"""The demo: a client of the public gRPC and HTTP API that loads real shop data and plays an abandoned cart."""
