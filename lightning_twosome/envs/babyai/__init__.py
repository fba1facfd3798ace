"""BabyAI: missions in rooms with balls, boxes, keys and doors, on minigrid's levels, told in words.

level.py      a level's name -> minigrid's simulator       "which rooms, which mission?"
view.py       what the agent sees of them -> View           "what is known?"
text.py       View -> prompt and action texts, three styles "in words"
render.py     minigrid's picture with captions              "for people"
env.py        BabyAIEnv                                     gymnasium

minigrid is an extra (``pip install 'lightning-twosome[babyai]'``) and imported when an environment is made.
"""
