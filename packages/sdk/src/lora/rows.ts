/** @file Lets one product serve a whole batch with one adapter, or each row with its own. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { Site } from '../match/sites.ts';

/** A size that the runtime finds: as many as there are numbers left. */
const OPEN = -1;
const LAST = 2 ** 31 - 1;

/** Sizes of a linear layer, `[out, in]`. */
export interface Fold extends Pick<Site, 'weightShape'> {
  /** Whether adapters bring any number of outputs. */
  readonly isOpen?: boolean;
}

/**
 * Brings a layer's input into the form `[batch, positions, in]`. There `MatMul` with A `[in, r]` adapts all rows alike,
 * and with A `[batch, in, r]` each row by its own adapter: the same node does both, by the rank of what is fed.
 */
export class RowFold {
  readonly #g: GraphBuilder;
  readonly #input: Value | undefined;
  #batch: Value | undefined;

  /**
   * @param input the graph input whose first dimension counts the rows of the batch; none where values are not those of a
   *   batch, and all rows must be adapted alike
   */
  constructor(g: GraphBuilder, input: Value | undefined) {
    this.#g = g;
    this.#input = input;
  }

  /** `product` of the folded x `[batch, positions, in]` → `[batch, positions, out]`, back in the layer's own shape. */
  apply(x: Value, { weightShape: [out, width], isOpen }: Fold, product: (rows: Value) => Value): Value {
    const g = this.#g;
    const input = this.#input;
    if (!input) return product(x);
    const rank = x.shape?.length;
    const aligned = x.shape !== undefined && x.shape[0] === input.shape?.[0];
    if (rank === 3 && (aligned || holdsNoRows(x, input))) return product(x);
    if (rank === 2 && aligned) return g.Squeeze(product(g.Unsqueeze(x, [1])), [1]);
    const read = width === OPEN ? g.Slice(g.Shape(x), [-1], [LAST], [0]) : g.ints([width!]);
    const folded = g.Reshape(x, g.Concat([this.#batchSize(input), g.ints([-1]), read], 0));
    const leading = g.Slice(g.Shape(x), [0], [-1], [0]);
    return g.Reshape(product(folded), g.Concat([leading, g.ints([isOpen ? OPEN : out!])], 0));
  }

  /** `value · factor` where the factor is `[out]` for all rows, or `[batch, 1, out]`. */
  scale(value: Value, factor: Value, site: Fold): Value {
    return this.apply(value, onOutputs(site), (rows) => this.#g.Mul(rows, factor));
  }

  /** `value + term` where the term is `[out]` for all rows, or `[batch, 1, out]`. */
  add(value: Value, term: Value, site: Fold): Value {
    return this.apply(value, onOutputs(site), (rows) => this.#g.Add(rows, term));
  }

  #batchSize(input: Value): Value {
    const g = this.#g;
    this.#batch ??= g.Slice(g.Shape(input), [0], [1], [0]);
    return this.#batch;
  }
}

/**
 * Whether a value is one for all rows, such as relative positions `[1, positions, width]`: its size does not go with the batch,
 * or cannot be divided among the rows.
 */
function holdsNoRows({ shape = [] }: Value, { shape: [batch] = [] }: Value): boolean {
  const sizes = shape.slice(0, -1);
  if (sizes[0] !== 1 || !sizes.every((size) => typeof size === 'number')) return false;
  return typeof batch !== 'number' || sizes.reduce((product, size) => product * size, 1) % batch !== 0;
}

function onOutputs({ weightShape: [out], isOpen = false }: Fold): Fold {
  const size = isOpen ? OPEN : out!;
  return { weightShape: [size, size], isOpen };
}
