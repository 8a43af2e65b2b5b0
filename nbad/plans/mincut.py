"""A minimum cut of a small network, by Dinic's algorithm.

The search starts at the sink, where the cuts of joint graphs lie, and stops where it meets the source. A path is followed in
arrays, because a graph can be deeper than Python's stack.
"""

from collections.abc import Iterator

INFINITE = 1 << 60


class Network:
    """A directed network with whole capacities; vertices are numbers, edges come in pairs: edge `e` and its reverse `e ^ 1`.

    Examples
    --------
    >>> network = Network(3)
    >>> network.connect(0, 1, 5)
    >>> network.connect(1, 2, 3)
    >>> network.flow(0, 2), network.sink_side(2)
    (3, {2})
    """

    def __init__(self, vertices: int):
        self.edges: list[list[int]] = [[] for _ in range(vertices)]
        self.heads: list[int] = []
        self.capacities: list[int] = []

    def connect(self, tail: int, head: int, capacity: int) -> None:
        """Add an edge."""
        self.edges[tail].append(len(self.heads))
        self.edges[head].append(len(self.heads) + 1)
        self.heads += (head, tail)
        self.capacities += (capacity, 0)

    def flow(self, source: int, sink: int) -> int:
        """The value of a maximum flow, which is that of a minimum cut; capacities become what the flow leaves."""
        total = 0
        while (distances := self._distances(sink, source))[source] >= 0:
            total += self._saturate(source, sink, distances)
        return total

    def sink_side(self, sink: int) -> set[int]:
        """After `flow`: the vertices that can still reach the sink, the sink's side of the minimum cut nearest to it."""
        distances = self._distances(sink)
        return {vertex for vertex, distance in enumerate(distances) if distance >= 0}

    def _distances(self, sink: int, source: int | None = None) -> list[int]:
        """Edges from each vertex to the sink along free capacity, as far as the source; -1 where there is no way."""
        distances = [-1] * len(self.edges)
        distances[sink] = 0
        level = [sink]
        while level and (source is None or distances[source] < 0):
            level = list(self._level_above(level, distances))
        return distances

    def _level_above(self, level: list[int], distances: list[int]) -> Iterator[int]:
        """The vertices that are one edge further from the sink, marked as they are found."""
        for vertex in level:
            for edge in self.edges[vertex]:
                before = self.heads[edge]
                if distances[before] < 0 and self.capacities[edge ^ 1]:
                    distances[before] = distances[vertex] + 1
                    yield before

    def _saturate(self, source: int, sink: int, distances: list[int]) -> int:
        """Send flow along shortest paths until none is left."""
        total, vertex = 0, source
        path: list[int] = []
        tried = [0] * len(self.edges)
        while True:
            if vertex == sink:
                sent, kept = self._send(path)
                total += sent
                del path[kept:]
                vertex = self.heads[path[-1]] if path else source
            elif (edge := self._next(vertex, tried, distances)) is not None:
                path.append(edge)
                vertex = self.heads[edge]
            elif path:
                vertex = self.heads[path.pop() ^ 1]
                tried[vertex] += 1
            else:
                return total

    def _next(self, vertex: int, tried: list[int], distances: list[int]) -> int | None:
        """A free edge towards the sink; those before it lead nowhere."""
        edges, nearer = self.edges[vertex], distances[vertex] - 1
        for k in range(tried[vertex], len(edges)):
            if self.capacities[edges[k]] and distances[self.heads[edges[k]]] == nearer:
                tried[vertex] = k
                return edges[k]
        tried[vertex] = len(edges)
        return None

    def _send(self, path: list[int]) -> tuple[int, int]:
        """Fill a path; returns the flow, and how much of the path comes before its first full edge."""
        amount = min(self.capacities[edge] for edge in path)
        for edge in path:
            self.capacities[edge] -= amount
            self.capacities[edge ^ 1] += amount
        return amount, next(k for k, edge in enumerate(path) if not self.capacities[edge])
