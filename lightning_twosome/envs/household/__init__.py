"""The household: rooms and things in them that are carried, opened, switched and sat on.

things.py     properties, things, actions                 "what is there?"
task.py       the YAML of a task -> HouseholdTask         "which house, which goal?"
facts.py      what can be true of a state, by name        "is it so?"  goals and the vector
simulator.py  state x action -> state or refusal          "what happens?"
styles/       the words of each prompt style, YAML        "in which words?"
text.py       state -> prompt and action texts            "in words"
render.py     state -> picture                            "for people"
world.py      scenes and transitions, each computed once
env.py        HouseholdEnv, rewards and episodes          gymnasium
"""
