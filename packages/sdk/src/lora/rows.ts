/** @file Lets one product serve a whole batch with one adapter, or each row with its own. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { Site } from '../match/sites.ts';

/** A size that the runtime finds: as many as there are numbers left. */
const OPEN = -1;
const LAST = 2 ** 31 - 1;

/** A linear layer as {@link RowFold} sees it, its features last. */
export interface Fold extends Pick<Site, 'weightShape'> {
  /** The axis on which values have the rows of the batch; none where all rows must be adapted alike. */
  readonly rowAxis: number | undefined;
  /** Whether adapters bring any number of outputs. */
  readonly isOpen?: boolean;
}

/**
 * Brings a layer's input into the form `[batch, positions, in]`. There `MatMul` with A `[in, r]` adapts all rows alike,
 * and with A `[batch, in, r]` each row by its own adapter: the same node does both, by the rank of what is fed. Where all are
 * adapted alike, one row of all positions does as well: a model may have several batches, such as one of texts and one of
 * images, and each as many rows as it likes.
 */
export class RowFold {
  readonly #g: GraphBuilder;
  readonly #batchInput: Value;
  /** What has the rows as its first dimension; without a dimension, it stands for one row. */
  readonly #counting: () => Value;
  #batch: Value | undefined;

  /**
   * @param batchInput the graph input whose first dimension counts the rows of the batch
   * @param counting what picks an adapter for each row, or one for all; the batch's input where rows have numbers of their own
   */
  constructor(g: GraphBuilder, batchInput: Value, counting: () => Value = () => batchInput) {
    this.#g = g;
    this.#batchInput = batchInput;
    this.#counting = counting;
  }

  /** `product` of the folded x `[batch, positions, in]` → `[batch, positions, out]`, back in the layer's own shape. */
  apply(x: Value, fold: Fold, product: (rows: Value) => Value): Value {
    const { rowAxis } = fold;
    if (rowAxis === undefined) return product(x);
    if (rowAxis === 0) return this.#folded(x, fold, product);
    const front = [rowAxis, ...x.shape!.keys()].filter((axis, i) => i === 0 || axis !== rowAxis);
    const back = front.map((_, axis) => front.indexOf(axis));
    return this.#g.Transpose(this.#folded(this.#g.Transpose(x, front), fold, product), back);
  }

  #folded(x: Value, { weightShape: [out, width], isOpen }: Fold, product: (rows: Value) => Value): Value {
    const g = this.#g;
    const rank = x.shape?.length;
    const aligned = x.shape !== undefined && x.shape[0] === this.#batchInput.shape?.[0];
    if (rank === 3 && aligned) return product(x);
    if (rank === 2 && aligned) return g.Squeeze(product(g.Unsqueeze(x, [1])), [1]);
    const read = width === OPEN ? g.Slice(g.Shape(x), [-1], [LAST], [0]) : g.ints([width!]);
    const folded = g.Reshape(x, g.Concat([this.#batchSize(), g.ints([-1]), read], 0));
    const leading = g.Slice(g.Shape(x), [0], [-1], [0]);
    return g.Reshape(product(folded), g.Concat([leading, g.ints([isOpen ? OPEN : out!])], 0));
  }

  /** `value · factor` where the factor is `[out]` for all rows, or `[batch, 1, out]`. */
  scale(value: Value, factor: Value, fold: Fold): Value {
    return this.apply(value, onOutputs(fold), (rows) => this.#g.Mul(rows, factor));
  }

  /** `value + term` where the term is `[out]` for all rows, or `[batch, 1, out]`. */
  add(value: Value, term: Value, fold: Fold): Value {
    return this.apply(value, onOutputs(fold), (rows) => this.#g.Add(rows, term));
  }

  /** The rows that there are; of what picks one adapter for all the shape is empty. */
  #batchSize(): Value {
    const g = this.#g;
    this.#batch ??= g.Slice(g.Concat([g.Shape(this.#counting()), g.ints([1])], 0), [0], [1], [0]);
    return this.#batch;
  }
}

function onOutputs({ weightShape: [out], rowAxis, isOpen = false }: Fold): Fold {
  const size = isOpen ? OPEN : out!;
  return { weightShape: [size, size], rowAxis, isOpen };
}
