"""An environment of one's own: make the hot drink that a guest asked for."""

import string

import gymnasium

ACTIONS = ("fill the kettle", "boil the water", "put tea into the cup", "put coffee into the cup", "pour the water")
DONE = ("filled the kettle", "boiled the water", "put tea into the cup", "put coffee into the cup")


class TeaTime(gymnasium.Env):
    observation_space = gymnasium.spaces.Text(1000, charset=string.printable)
    action_space = gymnasium.spaces.Discrete(len(ACTIONS))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.drink, self.done = str(self.np_random.choice(["tea", "coffee"])), []
        return self.prompt(), {"actions": ACTIONS}

    def prompt(self):
        done = f"You have {', '.join(self.done)}." if self.done else "The kettle and the cup are empty."
        return f"{done} Your guest would like a cup of {self.drink}. You should now"

    def step(self, action):
        poured = ACTIONS[action] == "pour the water"
        success = poured and self.done == [*DONE[:2], f"put {self.drink} into the cup"]
        self.done += [] if poured else [DONE[action]]
        truncated = not poured and len(self.done) == 6
        return self.prompt(), float(success), poured, truncated, {"actions": ACTIONS, "success": success}
