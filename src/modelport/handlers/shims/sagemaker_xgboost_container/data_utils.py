"""Media types of the XGBoost container."""


def get_content_type(content_type_cfg_val: str) -> str:
    """Return a media type without its parameters."""
    return content_type_cfg_val.partition(";")[0].strip().lower()
