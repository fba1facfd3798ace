"""An environment of one's own: make the hot drink that a guest asked for."""

import string

import gymnasium

DONE = {"fill the kettle": "filled the kettle", "boil the water": "boiled the water", "pour it in": "poured it in"}
DONE |= {f"put {drink} into the cup": f"put {drink} into the cup" for drink in ("tea", "coffee")}
FIRST = {"boil the water": "filled the kettle", "pour it in": "boiled the water"}


class TeaTime(gymnasium.Env):
    observation_space = gymnasium.spaces.Text(1000, charset=string.printable)
    action_space = gymnasium.spaces.Discrete(len(DONE))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.drink, self.done = str(self.np_random.choice(["tea", "coffee"])), []
        return self.show()

    def show(self):
        done = f"You have {', '.join(self.done)}." if self.done else "The kettle and the cup are empty."
        possible = [a for a, past in DONE.items() if past not in self.done and FIRST.get(a) in (None, *self.done)]
        return f"{done} Your guest would like a cup of {self.drink}. You should now", {"actions": tuple(possible)}

    def step(self, action):
        self.done.append(DONE[self.show()[1]["actions"][action]])
        ended = "poured it in" in self.done
        success = ended and [thing for thing in self.done if "cup" in thing] == [f"put {self.drink} into the cup"]
        return self.show()[0], float(success), ended, False, {**self.show()[1], "success": success}
