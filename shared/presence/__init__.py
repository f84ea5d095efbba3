"""The presence engine: which appointment shows, the note that says so, and the way back.

Pure: the time and the zone are parameters. It follows innovaphone's wiki, *Concept App Service Calendar*
(13r3), and the client library ``innovaphone.presence`` (14r2), and needs nothing but ``shared.model``.
"""

from shared.presence.checks import Fault, FieldError
from shared.presence.composition import compose, next_composition
from shared.presence.explanation import Episode, Explanation, Fate, Sentence, explain
from shared.presence.languages import Language, languages
from shared.presence.mapping import Omission, find_omission
from shared.presence.precedence import Rule
from shared.presence.reading import ParsedNote, read, render, view
from shared.presence.rules import ActivityMapping, PresenceRules, RulesError
from shared.presence.subject import redact
from shared.presence.timeline import Rival, Segment, compose_each, timeline

__all__ = [
    "ActivityMapping",
    "Episode",
    "Explanation",
    "Fate",
    "Fault",
    "FieldError",
    "Language",
    "Omission",
    "ParsedNote",
    "PresenceRules",
    "Rival",
    "Rule",
    "RulesError",
    "Segment",
    "Sentence",
    "compose",
    "compose_each",
    "explain",
    "find_omission",
    "languages",
    "next_composition",
    "read",
    "redact",
    "render",
    "timeline",
    "view",
]
