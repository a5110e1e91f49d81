"""The data contract: a Great Expectations suite in, a verdict out.

Great Expectations is imported by the modules that wrap it, when a frame is judged, and never by this package itself.
"""
