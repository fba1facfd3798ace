"""The kitchen: chop the foods of a recipe, put them in a bowl and deliver it.

task.py       the YAML of a task -> KitchenTask          "which kitchen, which recipe?"
simulator.py  state x action -> Outcome, no rewards      "what happens?"
view.py       state -> what the cook sees, the vector    "what is known?"
intent.py     view x action -> what the action comes to  "what would it do?"
text.py       view -> prompt and action texts            "in words", of a style in styles/
solver.py     state -> the best action                   "what should be done?"
render.py     state -> picture                           "for people"
env.py        KitchenEnv, rewards and episodes           gymnasium
"""
