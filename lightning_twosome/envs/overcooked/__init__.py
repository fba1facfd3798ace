"""Overcooked: cooks fill pots, cook soups and serve them, on any layout of ``overcooked-ai``.

library.py   the library, imported without its notices       "whose rules?"
layout.py    name or file -> Layout: rules, floor plan       "which kitchen?"
routes.py    the library's motion planner, and ways round    "how to get there?"
macros.py    macro-actions: when they make sense, and where  "what can be done here?"
traffic.py   who gives way to whom                           "without bumping into each other"
game.py      state, running macro-actions, one tick          "what happens?"
chef.py      the scripted cook                               "what would a good cook do?"
view.py      state -> what a cook is told, the vector        "what is known?"
styles.py    the wording of each prompt style, as data
text.py      view -> prompt and action texts                 "in words"
render.py    state -> picture                                "for people"
env.py       OvercookedEnv, partners and episodes            gymnasium
"""
