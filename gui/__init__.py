"""The viewer: what each codec does to a photograph, side by side at the same size.

    state -> plan of requests -> workers -> outcomes -> what the window shows

Modules here know nothing of Qt and are tested without a screen; the window is in `qt/`. Codecs run
in worker processes, so that nothing they do can stall the window.
"""
