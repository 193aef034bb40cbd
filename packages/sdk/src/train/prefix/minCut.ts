/** @file The cheapest set of edges that separates two places of a network. */

interface Edge {
  readonly to: number;
  /** What can still flow. */
  free: number;
  /** The edge back, along which flow can be undone. */
  back: Edge | undefined;
}

/**
 * A network with a source and a sink, whose maximum flow by Dinic's algorithm tells the minimum cut.
 *
 * @see https://en.wikipedia.org/wiki/Dinic%27s_algorithm
 */
export class Network {
  readonly source = 0;
  readonly sink = 1;
  readonly #edges: Edge[][] = [[], []];

  /** A new place. */
  place(): number {
    return this.#edges.push([]) - 1;
  }

  /** An edge of this cost to cut; `Infinity` for one that must not be. */
  edge(from: number, to: number, cost: number): void {
    const forth: Edge = { to, free: cost, back: undefined };
    const back: Edge = { to: from, free: 0, back: forth };
    forth.back = back;
    this.#edges[from]!.push(forth);
    this.#edges[to]!.push(back);
  }

  /** The places on the source's side of a cheapest cut: the fewest of all cheapest ones. */
  sourceSide(): ReadonlySet<number> {
    for (;;) {
      const levels = this.#levels();
      if (levels[this.sink] === -1) return new Set(levels.flatMap((level, place) => (level >= 0 ? [place] : [])));
      const next = new Array<number>(levels.length).fill(0);
      while (this.#push(levels, next));
    }
  }

  /** Distance of each place from the source along edges with free capacity; −1 where there is no way. */
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

  /** Sends flow along one shortest way; false when there is none left. Not recursive: ways are as long as networks deep. */
  #push(levels: readonly number[], next: number[]): boolean {
    const way: Edge[] = [];
    let place = this.source;
    while (place !== this.sink) {
      const edge = this.#edges[place]![next[place]!];
      if (!edge) {
        // A dead end: back, and never here again.
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
