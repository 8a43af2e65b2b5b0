"""Random kernels whose loops depend on data: `while`, `for`, `break`, `continue`, `return`, nested in one another and in arms."""

from helpers import random_programs
from helpers.random_programs import CONSTANTS, Scope

LEFT_OUT = (
    "_while",
    "_for",
    "_break",
    "_attempt",
    "_rows",
    "_held",
    "_one_sided",
    "_several_results",
    "_choose_list",
    "_closure",
)


class Writer(random_programs.Writer):
    """Writes one program; every loop ends, at the latest by a counter that nothing else writes to."""

    header = ""

    def program(self):
        if self._chance(0.4):
            self._helper("h0")
        self.n_outputs = self.random.choice((1, 1, 2))
        scope = Scope(["x", "y"])
        self._line(0, "def f(x, y):")
        self._block(1, scope, self.random.randint(1, 3), depth=0, can_return=True, loop=None)
        (self._while if self._chance(0.5) else self._for)(1, scope, 0, True, None)
        self._block(1, scope, self.random.randint(0, 2), depth=1, can_return=True, loop=None)
        self._line(1, f"return {self._result(scope)}")
        return "\n".join(self.lines) + "\n"

    def _makers(self, depth, loop):
        choices = [(weight, make) for weight, make in super()._makers(depth, loop) if make.__name__ not in LEFT_OUT]
        return choices + ([(4, self._while), (4, self._for)] if depth < 3 else []) + ([(3, self._break)] if loop else [])

    def _while(self, indent, scope, depth, can_return, loop):
        inner, counter, name = scope.copy(), self._new("n"), self._new("k")
        forms = (self._counted, self._shrinking, self._endless, self._bound_in_the_test)
        self._line(indent, f"{counter} = 0")
        self.random.choice(forms)(indent, inner, counter)
        self._line(indent + 1, f"{counter} += 1")
        if self._chance(0.5):
            self._line(indent + 1, f"{name} = {counter}")
            inner.numbers.append(name)
        self._body(indent, scope, inner, depth, can_return, counter)

    def _counted(self, indent, scope, counter):
        tests = [f"{counter} < {self.random.randint(2, 9)}", f"({self._condition(scope)})"]
        self.random.shuffle(tests)
        self._line(indent, f"while {' and '.join(tests)}:")

    def _shrinking(self, indent, scope, counter):
        """A number that becomes smaller decides."""
        name = self._new("s")
        self._line(indent, f"{name} = abs({self._bounded(scope)}) + {self.random.choice(('0.0', '0.5'))}")
        self._line(indent, f"while {name} > {self.random.choice(('0.05', '0.2', '0.4'))} and {counter} < 12:")
        self._line(indent + 1, f"{name} = {name} * {self.random.choice(('0.5', '0.7'))}")
        scope.numbers.append(name)

    def _endless(self, indent, scope, counter):
        """It is left by `break`; perhaps a variable has no number before the first pass."""
        name = self._new("p")
        if is_late := self._chance(0.3):
            self._line(indent, f"{name} = None")
        self._line(indent, f"while {self.random.choice(('True', '1'))}:")
        if is_late:
            value = self._bounded(scope)
            self._line(indent + 1, f"{name} = {value} if {name} is None else 0.5 * {name} + {self._number(scope)}")
            scope.numbers.append(name)
        self._line(indent + 1, f"if {counter} > {self.random.randint(1, 7)} or {self._condition(scope)}:")
        self._line(indent + 2, "break")

    def _bound_in_the_test(self, indent, scope, counter):
        name = self._new("v")
        self._line(indent, f"while ({name} := {self._bounded(scope)}) > {self.random.choice(CONSTANTS)}:")
        self._line(indent + 1, f"if {counter} > {self.random.randint(2, 6)}:")
        self._line(indent + 2, "break")
        scope.numbers.append(name)

    def _for(self, indent, scope, depth, can_return, loop):
        inner, counter = scope.copy(), self._new("k")
        form = self.random.choice(("range", "long", "traced", "list"))
        if form == "list" and scope.lists:
            name = self.random.choice(list(scope.lists))
            self._line(indent, f"for {counter} in {name}:")
        elif form == "traced":
            first = self.random.choice(("", "1, ", f"max(-7, int({self._number(scope)})), "))  # Python ends, too
            self._line(indent, f"for {counter} in range({first}min(7, int(abs({self._number(scope)}) * 3.0))):")
        else:
            count = self.random.choice((12, 40)) if form == "long" and depth < 2 else self.random.randint(2, 6)
            self._line(indent, f"for {counter} in range({count}):")
        inner.numbers.append(counter)
        self._body(indent, scope, inner, depth, can_return, counter)

    def _body(self, indent, scope, inner, depth, can_return, counter):
        self._block(indent + 1, inner, self.random.randint(1, 3), depth + 1, can_return, counter)
        if self._chance(0.2):
            self._line(indent, "else:")
            self._block(indent + 1, scope.copy(), 1, depth + 1, can_return, None)

    def _break(self, indent, scope, depth, can_return, loop):
        self._line(indent, f"if {self._condition(scope)}:")
        if self._chance(0.4):
            self._line(indent + 1, f"{self.random.choice(scope.numbers)} = {self._bounded(scope)}")
        ends = ["break", "break", "continue", *([f"return {self._result(scope)}"] if can_return else [])]
        self._line(indent + 1, self.random.choice(ends))
