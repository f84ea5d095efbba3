"""Pictures as SVG text: pure, from plain values.

Nothing in them is a style or a script, since the pages' content security policy forbids both inline: they
carry classes, and the style sheet has their colours, for light and for dark.
"""
