"""Images: the runtime image of every role, and one thin image for the server and each site.

This module imports nothing, so that `names` can be used without the Docker SDK.
"""
