"""modelport: a trained model, in production, healthy."""

__version__ = "0.1.0"
