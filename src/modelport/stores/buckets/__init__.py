"""Objects in an S3 that somebody else keeps."""
