/** @file Loaded training graphs, one per shape of batches, of which those used last are kept. */

/** What is kept. */
export interface KeptGraph {
  /** Bytes that it holds while it is kept. */
  readonly bytes: number;
  release(): Promise<void>;
}

/** Graphs by the shapes that they are for. The one used last is always kept, others while they need no more than `most` bytes. */
export class KeptGraphs<Graph extends KeptGraph> {
  readonly #most: number;
  /** Those used last come last. */
  readonly #graphs = new Map<string, Graph>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The one used last. */
  get last(): Graph | undefined {
    return [...this.#graphs.values()].at(-1);
  }

  /** The graph for these shapes, which is now the one used last; undefined where there is none. */
  use(shapes: string): Graph | undefined {
    const graph = this.#graphs.get(shapes);
    if (graph) {
      this.#graphs.delete(shapes);
      this.#graphs.set(shapes, graph);
    }
    return graph;
  }

  /** Takes in a graph as the one used last. */
  add(shapes: string, graph: Graph): void {
    this.#graphs.set(shapes, graph);
  }

  /** Releases those used longest ago, until what is left and `more` have room. Called before more is loaded. */
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

  /** Releases all. */
  async release(): Promise<void> {
    const graphs = [...this.#graphs.values()];
    this.#graphs.clear();
    for (const graph of graphs) await graph.release();
  }
}
