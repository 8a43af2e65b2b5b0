"""Random kernels that write to lists and arrays by several names, ask for their identity, and swallow errors."""

from helpers import random_programs

HEADER = """
import contextlib
class Swallow:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        return True
class Watch(Swallow):
    def __exit__(self, *error):
        return None
@contextlib.contextmanager
def handle():
    try:
        yield
    except (ValueError, KeyError):
        pass
@contextlib.contextmanager
def translate():
    try:
        yield
    except ValueError as error:
        raise KeyError from error
class Reader:
    def __init__(self, x):
        self.x = x
    @property
    def root(self):
        try:
            return math.sqrt(self.x + 0.1)
        except ValueError:
            return 0.5
def roots(x):
    try:
        v = math.sqrt(x + 0.1)
    except ValueError:
        v = 0.25
    yield v
def pick(a, b, c):
    if c:
        return a
    return b
def scale(values, c):
    values[0] *= 0.5
"""
HIDING = ("Swallow()", "handle()", "contextlib.suppress(ValueError, KeyError)", "stack")
OPEN = ("Watch()", "translate()", "contextlib.nullcontext()", "contextlib.ExitStack()")
LIST_WRITES = (
    "{v}.reverse()", "{v}[:] = [{e}] * {n}", "{v}.append({e}); {v}.pop()", "{v} *= 1", "{v}[{k}] = {e}", "scale({v}, {e})",
    "{v}.reverse(); {r} = {v}[0]; {v}.reverse()", "{v}.insert(0, {e}); del {v}[0]",
)  # fmt: skip
ARRAY_WRITES = ("{v} *= {e}", "{v}.fill({e})", "{v}[:] = {e}", "{v}[{k}] = {e}", "{v} += {e}", "{v}[1:] = {e}", "scale({v}, {e})")


class Writer(random_programs.Writer):
    """Writes one program; lists are known by an `l`, arrays by an `a`."""

    header = random_programs.HEADER + HEADER

    def __init__(self, seed):
        super().__init__(seed)
        self.swallows = seed % 3 == 0  # most programs that do are refused

    def _makers(self, depth, loop):
        own = [
            (3, self._pick), (3, self._write), (1, self._ask), (2, self._read), (2, self._make_list), (2, self._array),
            (2, self._assign), (1, self._view),
        ]  # fmt: skip
        if self.swallows:
            own += [(2, self._with), (1, self._catch), (1, self._unseen)]
        return own + [(4, self._if), (1, self._for)] * (depth < 3)

    def _some(self, scope, kinds="la"):
        """The name of a list or array, or None."""
        names = [name for name in scope.lists if name[0] in kinds]
        return self.random.choice(names) if names else None

    def _pick(self, indent, scope, *_):
        """A list or array that is one of two, in all ways."""
        a = self._some(scope)
        others = [b for b in scope.lists if a and b[0] == a[0] and scope.lists[b] == scope.lists[a]]
        if not others:
            return
        b, name, test = self.random.choice(others), self._new(a[0]), self._condition(scope)
        form = self.random.randrange(4)
        if form == 0:
            self._line(indent, f"if {test}:")
            self._line(indent + 1, f"{name} = {a}")
            self._line(indent, "else:")
            self._line(indent + 1, f"{name} = {b}")
        else:
            forms = (f"{a} if {test} else {b}", f"pick({a}, {b}, {test})", f"({b}, {a})[int({test})]")
            self._line(indent, f"{name} = {forms[form - 1]}")
        scope.lists[name] = scope.lists[a]

    def _view(self, indent, scope, *_):
        source = self._some(scope, "a")
        if source and scope.lists[source] > 2:
            name = self._new("a")
            self._line(indent, f"{name} = {source}[{self.random.choice(('1:', ':2', '::-2'))}]")
            scope.lists[name] = 2

    def _write(self, indent, scope, *_):
        name = self._some(scope)
        if name:
            size, number = scope.lists[name], self.random.choice(scope.numbers)
            form = self.random.choice(LIST_WRITES if name[0] == "l" else ARRAY_WRITES)
            self._line(indent, form.format(v=name, n=size, k=self.random.randrange(size), e=self._bounded(scope), r=number))

    def _ask(self, indent, scope, *_):
        a, b = self._some(scope), self._some(scope)
        if a:
            name = self._new("v")
            self._line(indent, f"{name} = 1.0 if {a} {self.random.choice(('is', 'is not'))} {b} else {self._number(scope)}")
            scope.numbers.append(name)

    def _read(self, indent, scope, *_):
        source = self._some(scope)
        if source:
            name = self._new("v")
            self._line(indent, f"{name} = math.tanh(sum({source}))")
            scope.numbers.append(name)

    def _with(self, indent, scope, *_):
        """A `with` whose manager may swallow what its body may raise."""
        hides = self._chance(0.5)
        manager = self.random.choice(HIDING if hides else OPEN)
        self._line(indent, f"with {'contextlib.ExitStack() as stack' if manager == 'stack' else manager}:")
        if manager == "stack":
            self._line(indent + 1, f"stack.enter_context({self.random.choice(HIDING[:3])})")
        for _ in range(self.random.randint(1, 2)):
            self._risk(indent + 1, scope, hides)
        self._line(indent + 1, f"{self.random.choice(scope.numbers)} = {self.random.choice(random_programs.CONSTANTS)}")

    def _risk(self, indent, scope, may_raise):
        """A statement that may raise an error, for some elements or for all."""
        name = self.random.choice(scope.numbers)
        form = self.random.randrange(4 if may_raise else 1)
        if form == 0:
            self._line(indent, f"{name} = {self.random.choice((self._number(scope), self._bounded(scope)))}")
        elif form == 1:
            self._line(indent, f"{name} = math.sqrt({self._number(scope)} + 0.1)")
        elif form == 2:
            self._line(indent, f"{name} = {{}}['key'] if {self._condition(scope)} else {self._number(scope)}")
        else:
            self._line(indent, f"if {self.random.choice((self._condition(scope), 'True', 'False'))}:")
            self._line(indent + 1, f"{name} = {self._number(scope)}")
            self._line(indent + 1, "{}['key']")

    def _catch(self, indent, scope, *_):
        self._line(indent, "try:")
        self._risk(indent + 1, scope, may_raise=True)
        self._line(indent, f"except {self.random.choice(('(KeyError, ValueError)', 'Exception'))}:")
        self._line(indent + 1, f"{self.random.choice(scope.numbers)} = {self._number(scope)}")

    def _unseen(self, indent, scope, *_):
        """Code that is not rewritten."""
        form = self.random.choice(("Reader({}).root", "sum(roots({}))", "next(t for t in roots({}))"))
        self._line(indent, f"{self.random.choice(scope.numbers)} = {form.format(self._number(scope))}")
