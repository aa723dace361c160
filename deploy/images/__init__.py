"""Images: the runtime of every role and a thin one for each site; built, listed, pushed, saved and loaded.

Nothing is imported here: who only asks what an image is called (`names`) does not pays for its client.
"""
