"""The page at /ui: one file a tab. It prints and parses, and computes nothing. The only home of Gradio.

    browser ─▶ guard ─▶ uploads            a dropped file, on disk, open to who holds its token
                  └───▶ Gradio ─▶ a tab ─▶ Model, Index

Nothing that it shows comes from another machine, and nothing is left on disk when the server ends.
"""
