/**
 * @file Where detectors stop gradients: at boxes that a layer refines further, and at what the best positions of the
 * encoder hand to the decoder.
 */

import { type FamilyGraph, type FamilyLayer, type GraphEdge, indexGraph, type NodeProto } from '@onnx-lora/sdk/plugin';

/** Operators that only move numbers. */
const movements: ReadonlySet<string> = new Set(
  'Identity Cast Unsqueeze Squeeze Concat Gather Slice Split Reshape Flatten Transpose Expand'.split(' '),
);

/** Gradients stop on the way from a layer's boxes to the next layer. */
type Finder = (model: FamilyGraph) => readonly GraphEdge[];

/**
 * RT-DETR and RT-DETRv2: queries and boxes taken from the encoder, and each layer's boxes for the next one. Boxes as
 * outputs keep their gradient.
 * @see Zhao et al., "DETRs Beat YOLOs on Real-time Object Detection" (2023), arXiv:2304.08069
 */
export const rtDetrStops: Finder = (model) => {
  const graph = new Walk(model);
  return [...graph.taken(), ...refined(model)].flatMap((value) => graph.insideOf(value));
};

/**
 * D-FINE: as RT-DETR; also the box that all layers refine, and the states of the layer before in the sum that gives the
 * distributions of edges.
 * @see Peng et al., "D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement" (2024),
 *   arXiv:2410.13842
 */
export const dFineStops: Finder = (model) => {
  const graph = new Walk(model);
  const first = calls(model, /decoder\.pre_bbox_head\.layers\.\d+$/).slice(-1);
  const values = [...graph.taken(), ...first.flatMap(({ output }) => graph.sigmoidsAfter(output)), ...refined(model)];
  return [...values.flatMap((value) => graph.insideOf(value)), ...earlierStates(model, graph)];
};

/**
 * Deformable DETR with refinement of boxes: each refined reference and the proposals of two stages, for all readers.
 * @see Zhu et al., "Deformable DETR" (2020), arXiv:2010.04159
 */
export const deformableDetrStops: Finder = (model) => {
  const graph = new Walk(model);
  const boxes = calls(model, /bbox_embed\.\d+\.layers\.\d+$/).flatMap(({ output }) => graph.sigmoidsAfter(output));
  const again = boxes.filter((value) => graph.entersLayer(value) || graph.isKeptFor(value, boxes));
  return [...new Set([...again, ...graph.taken()])].flatMap((value) => graph.readersOf(value));
};

/**
 * RF-DETR: boxes taken from the encoder. States taken keep theirs, since only the loss of proposals reads them.
 * @see Robinson et al., "RF-DETR" (2025), arXiv:2511.09554
 */
export const rfDetrStops: Finder = (model) => {
  const graph = new Walk(model);
  const scored = new Set(calls(model, /enc_out_class_embed\.\d+$/).map(({ input }) => input));
  return graph
    .taken()
    .filter((value) => !scored.has(value))
    .flatMap((value) => graph.insideOf(value));
};

/** Boxes that the position head of a layer after the first reads. */
function refined(model: FamilyGraph): string[] {
  const [, ...later] = calls(model, /decoder\.query_pos_head\.layers\.0$/);
  return later.map(({ input }) => input);
}

/** The earlier of two layers' states whose sum a box head reads. */
function earlierStates(model: FamilyGraph, graph: Walk): GraphEdge[] {
  return calls(model, /decoder\.bbox_embed\.\d+\.layers\.0$/).flatMap(({ input }) => {
    const sum = graph.producer(input);
    if (sum?.opType !== 'Add' || !sum.input!.every((name) => graph.producer(name))) return [];
    const [earlier] = [...sum.input!].sort((a, b) => graph.placeOf(a) - graph.placeOf(b));
    return [{ value: earlier!, reader: input }];
  });
}

function calls({ layers }: FamilyGraph, path: RegExp): FamilyLayer[] {
  return layers.filter((layer) => path.test(layer.path));
}

/** Follows values through a graph. */
class Walk {
  readonly #index: ReturnType<typeof indexGraph>;
  readonly #nodes: readonly NodeProto[];
  readonly #places: ReadonlyMap<string, number>;
  readonly #inputs: ReadonlySet<string>;
  readonly #leaves = new Map<string, boolean>();

  constructor({ graph, layers }: FamilyGraph) {
    this.#index = indexGraph(graph);
    this.#nodes = graph.node ?? [];
    this.#places = new Map(this.#nodes.flatMap(({ output = [] }, i) => output.map((name) => [name, i])));
    this.#inputs = new Set(layers.map(({ output }) => output));
  }

  producer(value: string): NodeProto | undefined {
    return this.#index.producer.get(value);
  }

  placeOf(value: string): number {
    return this.#places.get(value) ?? -1;
  }

  readersOf(value: string): GraphEdge[] {
    const readers = new Set((this.#index.uses.get(value) ?? []).map(({ node }) => node.output![0]!));
    return [...readers].map((reader) => ({ value, reader }));
  }

  /** Values gathered at the places that a TopK found. */
  taken(): string[] {
    const found = this.#nodes.filter(({ opType }) => opType === 'TopK').map(({ output }) => output![1] ?? '');
    const places = new Set(found.filter(Boolean));
    return this.#nodes.flatMap(({ opType = '', input = [], output = [] }) => {
      if (opType.startsWith('Gather') && places.has(input[1] ?? '')) return [output[0]!];
      if (places.has(input[0] ?? '') && (movements.has(opType) || opType === 'Tile')) places.add(output[0]!);
      return [];
    });
  }

  /** The first results of Sigmoid on the way from a layer's output to the next layers. */
  sigmoidsAfter(value: string): string[] {
    const found = new Set<string>();
    this.#follow(value, ({ opType, output }) => {
      if (opType === 'Sigmoid') found.add(output![0]!);
      return opType === 'Sigmoid';
    });
    return [...found];
  }

  /** Whether a layer with weights reads anything that depends on the value. */
  entersLayer(value: string): boolean {
    let enters = false;
    this.#follow(value, ({ output = [] }) => {
      enters ||= output.some((name) => this.#inputs.has(name));
      return enters;
    });
    return enters;
  }

  /** Whether the value is stacked with one of the others that enters a layer: the last layer's reference. */
  isKeptFor(value: string, others: readonly string[]): boolean {
    const stacks = new Set<string>();
    this.#follow(value, ({ opType = '', output }) => {
      if (opType === 'Concat') stacks.add(output![0]!);
      return !movements.has(opType) || opType === 'Concat';
    });
    return others.some((other) => {
      let shares = false;
      if (other === value || !this.entersLayer(other)) return false;
      this.#follow(other, ({ opType = '', output }) => {
        shares ||= stacks.has(output![0]!);
        return !movements.has(opType) || opType === 'Concat';
      });
      return shares;
    });
  }

  /** Edges from a value into the model; none on ways that only move it, or its Sigmoid, to an output. */
  insideOf(value: string): GraphEdge[] {
    return this.readersOf(value).flatMap((edge) => (this.#leavesAt(edge.reader) ? this.insideOf(edge.reader) : [edge]));
  }

  #leavesAt(value: string): boolean {
    const known = this.#leaves.get(value);
    if (known !== undefined) return known;
    this.#leaves.set(value, false);
    const { opType = '' } = this.producer(value) ?? {};
    const moves = movements.has(opType) || opType === 'Sigmoid';
    const leaves =
      moves && (this.#index.outputs.has(value) || this.readersOf(value).some(({ reader }) => this.#leavesAt(reader)));
    this.#leaves.set(value, leaves);
    return leaves;
  }

  /** Visits the nodes after a value, each once, up to those for which `stops` returns true. */
  #follow(value: string, stops: (node: NodeProto) => boolean): void {
    const seen = new Set<NodeProto>();
    const queue = [value];
    for (let name = queue.pop(); name !== undefined; name = queue.pop())
      for (const { node } of this.#index.uses.get(name) ?? []) {
        if (seen.has(node)) continue;
        seen.add(node);
        if (!stops(node)) queue.push(...(node.output ?? []).filter(Boolean));
      }
  }
}
