"""Requests and answers: bodies, content negotiation, problem details."""
