"""What deploys the service: templates, and the two programs beside them."""
