"""The wire: the only package that uses grpc."""
