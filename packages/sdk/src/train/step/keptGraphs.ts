/** @file Least recently used cache of training graphs by batch shapes. */

export interface KeptGraph {
  /** Bytes held while cached. */
  readonly bytes: number;
  release(): Promise<void>;
}

/** Graphs by batch shapes. The latest is always kept, others up to `most` bytes in total. */
export class KeptGraphs<Graph extends KeptGraph> {
  readonly #most: number;
  /** Sorted by last use. */
  readonly #graphs = new Map<string, Graph>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The graph used last. */
  get last(): Graph | undefined {
    return [...this.#graphs.values()].at(-1);
  }

  /** The graph for these shapes, marked as used last. */
  use(shapes: string): Graph | undefined {
    const graph = this.#graphs.get(shapes);
    if (graph) {
      this.#graphs.delete(shapes);
      this.#graphs.set(shapes, graph);
    }
    return graph;
  }

  /** Adds a graph as the one used last. */
  add(shapes: string, graph: Graph): void {
    this.#graphs.set(shapes, graph);
  }

  /** Releases the least recently used graphs until the rest and `more` bytes fit; call it before loading more. */
  async makeRoom(more = 0): Promise<void> {
    const entries = [...this.#graphs];
    let held = entries.reduce((sum, [, { bytes }]) => sum + bytes, more);
    for (const [shapes, graph] of entries) {
      if (held <= this.#most) return;
      held -= graph.bytes;
      this.#graphs.delete(shapes);
      await graph.release();
    }
  }

  async release(): Promise<void> {
    const graphs = [...this.#graphs.values()];
    this.#graphs.clear();
    for (const graph of graphs) await graph.release();
  }
}
