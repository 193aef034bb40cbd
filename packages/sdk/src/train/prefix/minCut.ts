/** @file Minimum cut of a network. */

interface Edge {
  readonly to: number;
  /** Residual capacity. */
  free: number;
  /** The reverse edge, which can undo flow. */
  back: Edge | undefined;
}

/** A network with a source and a sink; Dinic's maximum flow algorithm gives the minimum cut. */
export class Network {
  readonly source = 0;
  readonly sink = 1;
  readonly #edges: Edge[][] = [[], []];

  /** Adds a vertex. */
  place(): number {
    return this.#edges.push([]) - 1;
  }

  /** Adds an edge with its cost to cut; `Infinity` if it must not be. */
  edge(from: number, to: number, cost: number): void {
    const forth: Edge = { to, free: cost, back: undefined };
    const back: Edge = { to: from, free: 0, back: forth };
    forth.back = back;
    this.#edges[from]!.push(forth);
    this.#edges[to]!.push(back);
  }

  /** The vertices on the source's side of a minimum cut, the fewest possible. */
  sourceSide(): ReadonlySet<number> {
    for (;;) {
      const levels = this.#levels();
      if (levels[this.sink] === -1) return new Set(levels.flatMap((level, place) => (level >= 0 ? [place] : [])));
      const next = new Array<number>(levels.length).fill(0);
      while (this.#push(levels, next));
    }
  }

  /** Distance of each vertex from the source along residual edges; −1 if unreachable. */
  #levels(): number[] {
    const levels = new Array<number>(this.#edges.length).fill(-1);
    levels[this.source] = 0;
    const queue = [this.source];
    for (const place of queue) {
      for (const { to, free } of this.#edges[place]!) {
        if (free <= 0 || levels[to] !== -1) continue;
        levels[to] = levels[place]! + 1;
        queue.push(to);
      }
    }
    return levels;
  }

  /** Sends flow along a shortest path; false if none is left. Not recursive: paths are as long as networks are deep. */
  #push(levels: readonly number[], next: number[]): boolean {
    const way: Edge[] = [];
    let place = this.source;
    while (place !== this.sink) {
      const edge = this.#edges[place]![next[place]!];
      if (!edge) {
        // A dead end: go back, and never return here.
        const last = way.pop();
        if (!last) return false;
        place = last.back!.to;
        next[place]!++;
      } else if (edge.free > 0 && levels[edge.to] === levels[place]! + 1) {
        way.push(edge);
        place = edge.to;
      } else next[place]!++;
    }
    const flow = way.reduce((least, { free }) => Math.min(least, free), Infinity);
    if (!Number.isFinite(flow)) throw new RangeError('Source and sink are joined by edges that cannot be cut.');
    for (const edge of way) {
      edge.free -= flow;
      edge.back!.free += flow;
    }
    return true;
  }
}
